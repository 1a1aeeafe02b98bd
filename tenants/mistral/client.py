"""The questions that workers ask Mistral about a key; synchronous, one key per client."""

from collections.abc import Iterator

import orjson

from tenants.mistral.asking import AnswerMark, Asker, ClientTimeouts, as_api_key, as_bearer
from tenants.mistral.batches import JobFacts, read_job
from tenants.mistral.errors import KeyRefusedError
from tenants.mistral.wire import (
    Answer,
    Identity,
    ModelRow,
    read_answer,
    read_identity,
    read_json,
    read_models,
)

__all__ = ["AnswerMark", "ClientTimeouts", "MistralClient"]

TRIAL_PATH = "/v1/chat/completions"


class MistralClient(Asker):
    """What an ordinary key may ask: what it sees, and whose it is."""

    def list_models(self) -> tuple[ModelRow, ...]:
        """Ask `GET /v1/models`: 200 means that the key is accepted, and costs nothing.

        It proves neither that inference is paid for nor that a listed model may be called.
        """
        return self.ask("/v1/models", as_bearer, read_models)

    def whoami(self) -> Identity:
        """Ask `GET /v1/users/me` whom the key belongs to.

        The specification wants the key in `x-api-key`, the official SDK sends a bearer too, and
        nobody published which one works: a 401 to the bearer is asked again the other way.
        """
        try:
            return self.ask("/v1/users/me", as_bearer, read_identity)
        except KeyRefusedError:
            pass
        return self.ask("/v1/users/me", as_api_key, read_identity)

    def batch_job(self, job_id: str, *, inline: bool = False) -> JobFacts:
        """Ask `GET /v1/batch/jobs/{id}` how far a job is; `inline` for its output with it."""
        path = f"/v1/batch/jobs/{job_id}{'?inline=true' if inline else ''}"
        return self.ask(path, as_bearer, lambda body: read_job(read_json(body)))

    def file_lines(self, file_id: str) -> Iterator[bytes]:
        """Give the lines of a file at Mistral, one after the other."""
        return self.ask_lines(f"/v1/files/{file_id}/content")

    def try_model(self, model: str) -> Answer:
        """Ask `POST /v1/chat/completions` for one token: a call that Mistral bills.

        It shows what `list_models` cannot: that calls are paid for, and that this model answers.
        """
        return self.ask(TRIAL_PATH, as_bearer, read_answer, body=trial_of(model))


def trial_of(model: str) -> bytes:
    """Write the smallest chat request there is: one character in, one token out."""
    message = {"role": "user", "content": "."}
    return orjson.dumps({"model": model, "messages": [message], "max_tokens": 1})
