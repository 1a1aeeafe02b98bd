"""Settings of a gateway process under test: the suite's, with the bounds that a test asks for."""

import json
import os

from tests.settings import *  # noqa: F403 - the same service

GATEWAY = json.loads(os.environ.get("AIM_TEST_GATEWAY", "{}"))  # noqa: TID251 - from the test that starts it
