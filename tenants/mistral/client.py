"""The questions that workers ask Mistral about a key; synchronous, one key per client."""

from tenants.mistral.asking import AnswerMark, Asker, ClientTimeouts, as_api_key, as_bearer
from tenants.mistral.errors import KeyRefusedError
from tenants.mistral.wire import Identity, ModelRow, read_identity, read_models

__all__ = ["AnswerMark", "ClientTimeouts", "MistralClient"]


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
