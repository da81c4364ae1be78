"""The webhook that MLflow keeps for a ModelRegistry: made, kept as it should be, and taken away. Synchronous.

MLflow never shows a secret again, so what is registered is compared by the time of its last change: as long as that is
the time of our own write, the secret is the one we wrote.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from mlflow.entities.webhook import Webhook, WebhookEvent, WebhookStatus
from mlflow.exceptions import RestException
from mlflow.store.model_registry.rest_store import RestStore
from mlflow.utils.workspace_context import ServerWorkspaceContext

from modelvane.registry.reader import Access, host_creds
from modelvane.registry.trouble import UnreachableError, explain, status_of

PREFIX = "modelvane-"
EVENTS = ("model_version_alias.created", "model_version_alias.deleted", "model_version.created")
"""What may move a pointer: an alias, or a fixed version that appears. MLflow has no event for a stage."""
PAGE = 100


class Store(Protocol):
    """What is asked of MLflow; its REST store answers, in types of MLflow's own."""

    def list_webhooks(self, max_results: int | None = None, page_token: str | None = None) -> Any:
        """List webhooks, a page at a time."""

    def create_webhook(
        self, name: str, url: str, events: list[Any], description: str | None, secret: str | None
    ) -> Any:
        """Make a webhook."""

    def update_webhook(self, webhook_id: str, **changes: Any) -> Any:
        """Change a webhook."""

    def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook."""


@dataclass(frozen=True)
class Wanted:
    """The webhook as it should be. The name holds the uid of the ModelRegistry, so no two of them share one."""

    uid: str
    url: str
    secret: str = field(repr=False)
    description: str

    @property
    def name(self) -> str:
        """Return the name by which our own is known."""
        return PREFIX + self.uid


@dataclass(frozen=True)
class Written:
    """What was last written to MLflow."""

    id: str
    changed_at: int
    wanted: Wanted


class RefusedError(Exception):
    """MLflow answers, and will not register the webhook. The message says what to change."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Subscription:
    """The webhooks of one MLflow server."""

    def __init__(self, access: Access, store: Store | None = None) -> None:
        if not access.is_http:
            raise RefusedError(
                "NotSupported",
                f"{access.uri} is no MLflow server, and only those have webhooks: leave spec.webhook out",
            )
        self._access = access
        self._store: Store = store or cast(Store, RestStore(lambda: host_creds(access)))  # type: ignore[no-untyped-call]

    def ensure(self, wanted: Wanted, written: Written | None) -> Written:
        """Make the webhook be as wanted, whatever became of it."""
        try:
            with ServerWorkspaceContext(self._access.workspace):
                return self._ensure(wanted, written)
        except Exception as error:
            raise _explain(error, self._access.uri, wanted.url, written) from error

    def remove(self, uid: str) -> None:
        """Take away the webhook of a ModelRegistry, if there is one."""
        try:
            with ServerWorkspaceContext(self._access.workspace):
                for webhook in self._find(uid):
                    self._store.delete_webhook(webhook.webhook_id)
        except Exception as error:
            raise _explain(error, self._access.uri, "", None) from error

    def _ensure(self, wanted: Wanted, written: Written | None) -> Written:
        found = self._find(wanted.uid)
        mine = found[0] if found else None
        for twice in found[1:]:
            self._store.delete_webhook(twice.webhook_id)
        events = [WebhookEvent.from_str(event) for event in EVENTS]  # type: ignore[arg-type]
        if mine is None:
            made = self._store.create_webhook(wanted.name, wanted.url, events, wanted.description, wanted.secret)
            return Written(made.webhook_id, made.last_updated_timestamp, wanted)
        if written == Written(mine.webhook_id, mine.last_updated_timestamp, wanted):
            return written
        changed = self._store.update_webhook(
            mine.webhook_id,
            name=wanted.name,
            url=wanted.url,
            events=events,
            description=wanted.description,
            secret=wanted.secret,
            status=WebhookStatus.ACTIVE,
        )
        return Written(changed.webhook_id, changed.last_updated_timestamp, wanted)

    def _find(self, uid: str) -> list[Webhook]:
        """Find our own. Others are left alone, whatever they look like: another cluster's may have the same address."""
        found: list[Webhook] = []
        token: str | None = None
        while True:
            page = self._store.list_webhooks(PAGE, token)
            found += [webhook for webhook in page if webhook.name == PREFIX + uid]
            token = page.token
            if not token:
                return found


def _explain(error: Exception, uri: str, url: str, written: Written | None) -> RefusedError | UnreachableError:
    """Say what MLflow has against the webhook, and what to change. No sentence holds what differs at each try."""
    text = str(error)
    if isinstance(error, RestException):
        if "Invalid webhook URL scheme" in text:
            return RefusedError(
                "SchemeRefused",
                f"MLflow sends to https only, and the address is {url}: set spec.webhook.url to an https address, or "
                "let the server send in clear text with MLFLOW_WEBHOOK_ALLOWED_SCHEMES=https,http "
                "(webhooks.allowHttp in charts/mlflow)",
            )
        if "non-public IP address" in text:
            return RefusedError(
                "PrivateAddressRefused",
                f"MLflow sends to public addresses only, and {url} is none: set spec.webhook.url to a public one, or "
                "give up that protection with MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true on the server "
                "(webhooks.allowPrivateAddresses in charts/mlflow)",
            )
        if "Cannot resolve" in text:
            return RefusedError("NameNotResolved", f"MLflow cannot resolve the host of {url}: check spec.webhook.url")
    status = status_of(error)
    if status == 403:
        return RefusedError(
            "NotAdmin",
            f"{uri} lets only administrators manage webhooks, and the user in spec.credentialsSecretRef is none",
        )
    # Where there has been a webhook, a 404 is that of a gateway that has lost its server.
    if status == 404 and written is None:
        return RefusedError("NotSupported", f"{uri} has no webhooks: they come with MLflow 3.3 and a SQL database")
    # MLflow's own error. A gateway without a server answers 502 to 504, and MLflow without its database 503.
    if status == 500:
        return RefusedError(
            "ServerError",
            f"{uri} fails when asked for its webhooks. Most often it has no MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY, or "
            "another one than before, and cannot read the secrets that it keeps: see its log",
        )
    if isinstance(error, RestException) and status == 400:
        return RefusedError("Refused", f"MLflow refuses the webhook: {text[:300]}")
    return explain(error, uri)
