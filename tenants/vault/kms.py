"""A master key in AWS KMS; the key never leaves it. Needs requirements/kms.txt.

``Encrypt`` and ``Decrypt`` of a symmetric key, the associated data as encryption context (which
CloudTrail shows: ids, nothing secret). Credentials come from boto3's own chain: the environment, a
role of the task, node or instance. The region is the one of the key's ARN.
https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
"""

import base64
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tenants.common.secrets import Secret
from tenants.vault.aead import OpeningError, UnknownKeyError
from tenants.vault.distant import KeyringUnavailableError

_DOES_NOT_OPEN = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_KEY_IS_GONE = frozenset({"NotFoundException"})
_PATIENCE = Config(
    connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"}
)


class KmsKey:
    """One key of AWS KMS.

    Args:
        arn: of a key or an alias.
        client: boto3's, for tests; made by its own chain otherwise.
    """

    def __init__(self, arn: str, client: Any = None) -> None:
        self._arn = arn
        region = arn.split(":")[3]
        self._client: Any = client or boto3.client("kms", region_name=region, config=_PATIENCE)

    def wrap(self, plain: Secret[bytes], associated: bytes) -> bytes:
        """Have KMS encrypt."""
        return self._ask("encrypt", associated, "CiphertextBlob", Plaintext=plain).reveal()

    def unwrap(self, wrapped: bytes, associated: bytes) -> Secret[bytes]:
        """Have KMS decrypt."""
        if not wrapped:
            raise OpeningError
        return self._ask("decrypt", associated, "Plaintext", CiphertextBlob=Secret(wrapped))

    def _ask(
        self, verb: str, associated: bytes, member: str, **octets: Secret[bytes]
    ) -> Secret[bytes]:
        """Ask KMS, and give one member of its answer.

        Raises:
            OpeningError, UnknownKeyError, KeyringUnavailableError
        """
        failure: Exception
        try:
            return Secret(
                getattr(self._client, verb)(
                    KeyId=self._arn,
                    EncryptionContext={"aim": base64.b64encode(associated).decode("ascii")},
                    **{name: value.reveal() for name, value in octets.items()},
                )[member]
            )
        except ClientError as error:
            failure = _failure(error.response.get("Error", {}).get("Code", ""))
        except BotoCoreError as error:
            failure = KeyringUnavailableError(type(error).__name__)
        # Raised here and not above: boto's error carries what was asked.
        raise failure


def _failure(code: str) -> Exception:
    if code in _DOES_NOT_OPEN:
        return OpeningError()
    if code in _KEY_IS_GONE:
        return UnknownKeyError()
    return KeyringUnavailableError(code or "an error without a code")
