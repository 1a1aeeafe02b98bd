"""What `mutations` makes of a function: one change in each, in code and nowhere else."""

import pytest

from tests.mutation.mutations import mutants

FRAME = """CREATE OR REPLACE FUNCTION public.some(amount numeric)
 RETURNS numeric
 LANGUAGE sql
AS $function${}$function$
"""


def changes(body):
    return {(one.before.strip(), one.after.strip()) for one in mutants(FRAME.format(body))}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("SELECT a <= b", ("<=", "<")),
        ("SELECT a + b", ("+", "-")),
        ("SELECT a FROM t WHERE a = b AND c", ("a = b", "true")),
        ("SELECT a FROM t WHERE a = b AND (c OR d)", ("(c OR d)", "true")),
        ("SELECT a FROM t WHERE a = b OR c", ("c", "false")),
        ("SELECT a IS NULL", ("IS NULL", "IS NOT NULL")),
        ("SELECT a IS DISTINCT FROM b", ("IS DISTINCT FROM", "IS NOT DISTINCT FROM")),
        ("SELECT a FROM t WHERE a IS DISTINCT FROM b", ("a IS DISTINCT FROM b", "true")),
        ("SELECT coalesce(sum(f(a, b)), 0)", ("coalesce(sum(f(a, b)), 0)", "sum(f(a, b))")),
        ("SELECT greatest(0, a)", ("greatest", "least")),
        ("SELECT 'enforce'", ("'enforce'", "''")),
        ("BEGIN PERFORM f(a); END", ("PERFORM f(a);", "NULL;")),
        ("BEGIN LOCK TABLE t IN SHARE MODE; END", ("LOCK TABLE t IN SHARE MODE;", "NULL;")),
        ("LOOP CONTINUE WHEN a; END LOOP", ("CONTINUE WHEN a;", "NULL;")),
        ("LOOP EXIT WHEN a > b; END LOOP", ("EXIT WHEN a > b;", "NULL;")),
        ("SELECT a FROM t FOR UPDATE SKIP LOCKED", ("FOR UPDATE SKIP LOCKED", "")),
        ("SELECT 41", ("41", "42")),
    ],
)
def test_what_is_changed_and_how(body, expected):
    assert expected in changes(body)


@pytest.mark.parametrize(
    "body", ["SELECT a -- b = c AND 1", "SELECT $1", "SELECT a ORDER BY 1, 2", "a := b", "a ->> b"]
)
def test_what_is_left_alone(body):
    assert changes(body) == set()


def test_what_is_quoted_is_emptied_and_nothing_in_it_is_an_operator():
    assert changes("SELECT 'a = b AND 1'") == {("'a = b AND 1'", "''")}


def test_each_mutant_differs_in_one_place_and_has_its_number_and_line():
    definition = FRAME.format("\nSELECT a\nFROM t WHERE b < 1")
    made = list(mutants(definition))
    assert [one.number for one in made] == list(range(1, len(made) + 1))
    assert len({one.definition for one in made}) == len(made)
    assert str(made[-1]) == f"#{len(made)} line 2: 1  →  2"
    assert made[-1].definition == definition.replace("< 1", "< 2")


def test_a_function_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="no definition"):
        list(mutants("CREATE FUNCTION f() LANGUAGE c AS 'lib'"))
