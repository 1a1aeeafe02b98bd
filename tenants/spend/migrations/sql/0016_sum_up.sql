-- Keeps the BRIN indexes of the ledger whole: reports find by one of them what is not rolled up
-- yet, and read every page that it cannot tell about. Returns how many ranges of pages were summed
-- up that autovacuum had left out (it forgets requests when there are many), and how many mended.
--
-- A summing-up that is interrupted (autovacuum gives way to whoever wants its lock, a server stops)
-- leaves a placeholder, and nothing of PostgreSQL's takes it away: VACUUM takes its range for
-- summed up. Every scan reads that range, and all behind it, to the end of the partition (seen in
-- 18.6). A scan for a transaction that cannot be tells how many pages are read in vain, and so
-- where they begin. Locks are waited for so shortly that autovacuum is not made to give way.
CREATE FUNCTION spend_sum_up_pages(OUT summed bigint, OUT mended bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '200ms' SET enable_seqscan = off
AS $$
DECLARE
    found record;
    plan json;
    blocks bigint;
    vain bigint;
    page_range CONSTANT bigint := 32;
BEGIN
    summed := 0;
    mended := 0;
    FOR found IN
        SELECT i.indexrelid::regclass AS name, i.indrelid::regclass AS partition,
               a.attname = 'transaction_id' AS tells
        FROM pg_partition_tree('spend_usageevent') t
        JOIN pg_index i ON i.indrelid = t.relid
        JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_am m ON m.oid = c.relam AND m.amname = 'brin'
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
        WHERE t.isleaf
        ORDER BY i.indrelid, i.indexrelid
    LOOP
        BEGIN
            summed := summed + brin_summarize_new_values(found.name);
            FOR attempt IN 1 .. CASE WHEN found.tells THEN 20 ELSE 0 END LOOP
                blocks := pg_relation_size(found.partition)
                          / current_setting('block_size')::bigint;
                EXECUTE format(
                    'EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, FORMAT JSON)'
                    ' SELECT FROM %s e WHERE e.transaction_id = 9223372036854775807',
                    found.partition) INTO plan;
                vain := coalesce((plan #>> '{0,Plan,Lossy Heap Blocks}')::bigint, 0);
                EXIT WHEN vain <= 4 * page_range;
                FOR ahead IN 0 .. 1 LOOP
                    PERFORM brin_desummarize_range(found.name, place),
                            brin_summarize_range(found.name, place)
                    FROM (VALUES (((blocks - vain) / page_range + ahead) * page_range)) v (place)
                    WHERE place >= 0 AND place < blocks;
                END LOOP;
                mended := mended + 1;
            END LOOP;
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;  -- somebody is at it
        END;
    END LOOP;
END
$$;
