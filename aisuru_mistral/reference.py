"""Writes docs/configuration.md from env.py: ``python -m aisuru_mistral.reference``.

A variable is described where it is read, in the docstring of its property; the default is what the
property gives when nothing is set. A test fails when the page and the code differ.
"""

from typing import Any

from aisuru_mistral import env, naming

PAGE = env.ROOT / "docs" / "configuration.md"
_HEAD = """\
# Configuration

Written from `aisuru_mistral/env.py` by `make configuration`; a test compares them.

Every variable is looked up in the environment, then as `NAME_FILE` (a file that holds the value,
as Docker and Kubernetes mount secrets), then in `DATA_DIR/run.env` and `DATA_DIR/secrets.env`,
which `make up` writes. A value that cannot be accepted keeps the service from starting, with one
line that says which and why; `manage.py doctor` names all of them, and what is unwise. Of a name
that is nearly one of these, and that nobody reads, `manage.py check` and `doctor` warn.
`manage.py doctor --values` lists what is in force and where it was found, without secrets.

| variable | what | default |
| --- | --- | --- |
"""
_FOOT = """
With a key in AWS KMS, `AWS_*` are read by Amazon's own library. What only the image's entrypoint
reads (`HOST`, `DRAIN_SECONDS`, `WORKER_CONCURRENCY`, `DATABASE_OWNER_URL`) stands in
`docker/entrypoint.sh`.
"""
_SAID = {
    "data_dir": "`var` beside the code",
    "audit_anchors": "`DATA_DIR/audit-anchors.jsonl`",
    "vault": "must be set then",
    "celery_broker_url": "pgmq in the same PostgreSQL",
    "public_url": "loopback and `PORT`",
    "allowed_hosts": "`PUBLIC_URL`'s, and loopback",
}


def page() -> str:
    """The whole page, as Markdown."""
    return _HEAD + "".join(_rows()) + _FOOT


def _rows() -> list[str]:
    nothing = env.Environment({"DATA_DIR": "/nonexistent"})
    rows = []
    for attribute, member in env.Environment.settings().items():
        text = " ".join((member.__doc__ or "").split())
        named = naming.NAMED.search(text)
        if named is None:
            raise ValueError(f"the docstring of {attribute} does not name its variable")
        names = ", ".join(f"`{name}`" for name in naming.NAME.findall(named[1]))
        aside = f" ({named[2]})" if named[2] else ""
        told = f"{text[: named.start()]}{aside}{text[named.end() :]}".replace("``", "`")
        rows.append(f"| {names} | {told} | {_default(nothing, attribute)} |\n")
    return rows


def _default(nothing: env.Environment, attribute: str) -> str:
    if attribute in _SAID:
        return _SAID[attribute]
    try:
        value: Any = getattr(nothing, attribute)
    except env.ConfigurationError:
        return "must be set"
    if value is None:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
