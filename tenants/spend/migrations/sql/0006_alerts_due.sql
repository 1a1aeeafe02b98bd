-- Which organizations have something to be told about a limit of theirs that they were not told.
-- A threshold is reached by what was spent; the limit itself also when it has refused a call with
-- nine tenths of it spent: the rest is worst cases of calls, and people want to know. It is told
-- as threshold 0, so that 100 can be a threshold like any other.
CREATE FUNCTION spend_alerts_due() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT DISTINCT l.organization_id
    FROM spend_limit l
    JOIN organizations_organization o ON o.id = l.organization_id AND o.status = 'active'
    JOIN spend_balance b
      ON b.organization_id = l.organization_id AND b.subject_kind = l.subject_kind
     AND b.subject_id = l.subject_id
     AND b.period = date_trunc('month', now() AT TIME ZONE o.timezone)::date
    CROSS JOIN LATERAL unnest(l.alert_thresholds || 0::smallint) AS t (percent)
    WHERE l.monthly_spend > 0
      AND (b.settled >= l.monthly_spend * t.percent / 100 AND t.percent > 0
           OR t.percent = 0 AND (b.settled >= l.monthly_spend OR b.refused_at IS NOT NULL
                                 AND b.settled >= l.monthly_spend * 0.9))
      AND NOT EXISTS (
          SELECT FROM spend_thresholdalert a
          WHERE a.organization_id = l.organization_id AND a.limit_id = l.id
            AND a.period = b.period AND a.threshold = t.percent
      )
$$;
