"""What graders work with beside the sample: the sandbox's level, and the servers they may ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from verifine.config.grading import GradingConfig, ServiceConfig
from verifine.errors import GraderError
from verifine.graders.remote import Clock, Lease, RemoteClient, Service, SharedClients, check_address, read_secret
from verifine.graders.remote.client import MAX_REPLY_BYTES
from verifine.graders.sandbox.call import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Given to `build_grader` by whoever starts a run."""

    grading: GradingConfig = field(default_factory=GradingConfig)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where keys and secrets are looked up by name; they are never written anywhere."""
    level: Level | None = None
    """What untrusted code is held with; None: the best this machine has. UNSAFE is for the machine's owner to say."""
    clients: SharedClients = field(default_factory=SharedClients, repr=False, compare=False)
    """The connections to judges and embedders; whoever has a lease closes it, and the last one closes the client."""
    clock: Clock = field(default=Clock(), repr=False, compare=False)

    def judge(self) -> ServiceConfig:
        """The server that judges are asked at.

        Without `grading.judge` it is the one that OpenAI's own clients would ask, if the environment says which;
        OpenAI itself is asked only by somebody who writes its address down.

        Raises:
            GraderError: nobody says which.
        """
        if self.grading.judge is not None:
            return self.grading.judge
        base_url = self.environment.get("OPENAI_BASE_URL", "").strip()
        if not base_url:
            raise GraderError(
                "there is no judge to ask; set grading.judge.base_url, such as http://127.0.0.1:8000/v1 for a vLLM "
                "server on this machine, or the environment variables OPENAI_BASE_URL and OPENAI_API_KEY"
            )
        has_key = bool(self.environment.get("OPENAI_API_KEY", "").strip())
        try:
            return ServiceConfig(base_url=base_url, api_key_env="OPENAI_API_KEY" if has_key else None)
        except ValidationError as error:
            raise GraderError("OPENAI_BASE_URL is no address; set it as in http://127.0.0.1:8000/v1") from error

    def lease(self, server: ServiceConfig, *, max_reply_bytes: int = MAX_REPLY_BYTES) -> Lease:
        """A client of the server, shared with all who ask the same one.

        Raises:
            GraderError: its address is none, or the environment lacks its key.
        """
        check_address(server.base_url)
        key = None if server.api_key_env is None else read_secret(self.environment, server.api_key_env)
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        service = Service(
            url=server.base_url,
            timeout_s=server.timeout_s,
            max_concurrency=server.max_concurrency,
            max_retries=server.max_retries,
            max_reply_bytes=max_reply_bytes,
        )
        return self.clients.lease(
            server,
            lambda: RemoteClient(
                service, headers=lambda _: headers, secrets=() if key is None else (key,), clock=self.clock
            ),
        )


ALONE = Services()
"""No servers to ask, and the best sandbox there is."""
