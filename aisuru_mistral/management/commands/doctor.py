"""`manage.py doctor [--json|--values]`: what is wrong with this deployment; how to mend it."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from aisuru_mistral import env, naming
from aisuru_mistral.doctor import anchors, configuration, database, neighbours, work
from aisuru_mistral.doctor.findings import State, examine, unheard

_MARKS = {State.OK: "✓", State.WARN: "!", State.FAIL: "✗"}


class Command(BaseCommand):
    """Look everything over, change nothing; the exit code is 1 if something fails."""

    help = "Looks a deployment over and says what is wrong and how to mend it; changes nothing."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take the wish for a form that machines read, and for settings instead of findings."""
        parser.add_argument("--json", action="store_true", help="one JSON object a line")
        parser.add_argument(
            "--values", action="store_true", help="list settings and their sources, no secrets"
        )

    def handle(self, **options: Any) -> None:
        """Print finding after finding, as they come; or the settings in force."""
        if options["values"]:
            for value in naming.values(env.load()):
                line = json.dumps(value._asdict(), ensure_ascii=False)
                said = line if options["json"] else f"{value.name}={value.shown}  ({value.source})"
                self.stdout.write(said)
            return
        with unheard("psycopg.pool"):  # it tells each try to reach a database that is away
            self._examine(is_json=options["json"])

    def _examine(self, *, is_json: bool) -> None:
        reached = database.looks()
        looks = configuration.looks(env.load()) | reached
        looks |= work.looks(has_database=len(reached) > 1)
        if len(reached) > 1:
            looks |= anchors.looks()
        failed = False
        for finding in examine(looks | neighbours.looks()):
            failed |= finding.state is State.FAIL
            if is_json:
                self.stdout.write(json.dumps(asdict(finding)))
                continue
            self.stdout.write(f"{_MARKS[finding.state]} {finding.code}: {finding.said}")
            if finding.remedy:
                self.stdout.write(f"    → {finding.remedy}")
        if failed:
            raise SystemExit(1)
