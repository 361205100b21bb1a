"""A bucket on any server that speaks S3, by way of Optuna's store."""

from __future__ import annotations

from typing import Any

from optuna.artifacts import Boto3ArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from sweeper.errors import StorageError
from sweeper.study.storage_url import without_password

# A server that hangs is away within the time that schedulers leave a worker to end.
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 5, 20, 2
_LARGEST_PIECE = 5 << 30  # bytes; S3 takes no more at a time
# What a server says where only the user can help, and how.
_NEXT_STEPS = {
    "NoSuchBucket": "make it, or correct the study's artifacts",
    "AccessDenied": "have these keys allowed to get, put and delete objects in it",
    "InvalidAccessKeyId": "correct AWS_ACCESS_KEY_ID, or the profile",
    "SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY, or the profile",
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "SSLError": "set AWS_CA_BUNDLE to a file with the certificate that the server's is signed by",
}


class Bucket(Boto3ArtifactStore):
    """An archive is one object, sent in one piece.

    In parts, those of a sender that died would stay for ever, unseen and paid for.
    """

    def write(self, artifact_id: str, content_body: Any) -> None:
        from boto3.s3.transfer import TransferConfig

        whole = TransferConfig(multipart_threshold=_LARGEST_PIECE)
        self.client.upload_fileobj(content_body, self.bucket, artifact_id, Config=whole)

    def open_reader(self, artifact_id: str) -> Any:
        try:
            return super().open_reader(artifact_id)
        except ArtifactNotFound as error:
            # Optuna takes a bucket that is not there, and any server's 404, for an empty place.
            if error.__cause__ is not None and _code(error.__cause__) != "NoSuchKey":
                raise error.__cause__ from None
            raise


def open_bucket(name: str) -> tuple[Bucket, tuple[type[Exception], ...]]:
    """A bucket, and what it raises while it cannot be reached.

    Endpoint, region and keys come from AWS's own variables and files.

    Raises:
        StorageError: S3's client is not installed, or told what it cannot use.
    """
    try:
        import boto3
        from boto3.exceptions import Boto3Error
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise StorageError(
            "artifacts: S3 needs its client. Next: pip install 'sweeper[s3]'"
        ) from error
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        # Else what is sent by TLS has its checksum behind it, which many servers but Amazon's
        # refuse. The storage has a checksum of every archive.
        request_checksum_calculation="when_required",
    )
    try:
        client = boto3.client("s3", config=config)
    except (BotoCoreError, ValueError) as error:  # no such profile, no such endpoint
        raise StorageError(f"artifacts: {words_of(error)}") from error
    store = Bucket(name, client, avoid_buf_copy=True)
    return store, (BotoCoreError, ClientError, Boto3Error, OSError)


def words_of(error: Exception) -> str:
    """What went wrong, without passwords, and what to do where it is known."""
    code = _code(error)
    if code is None:
        said = (str(error).splitlines() or [type(error).__name__])[0]
    else:
        message = error.response["Error"].get("Message")  # type: ignore[attr-defined]
        said = ": ".join(filter(None, (code, message)))
    next_step = _NEXT_STEPS.get(code or type(error).__name__)
    return without_password(said) + (f". Next: {next_step}" if next_step else "")


def _code(error: BaseException) -> str | None:
    """The server's name for an error; None where it is not the server's."""
    response = getattr(error, "response", None) or {}
    code = response.get("Error", {}).get("Code")
    return None if code is None else str(code)
