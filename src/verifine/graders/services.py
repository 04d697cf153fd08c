"""What graders use besides the sample: the sandbox's level, and the servers they may ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from verifine.config.grading import GradingConfig, ServiceConfig
from verifine.errors import GraderError
from verifine.graders.remote import Clock, Lease, RemoteClient, Service, SharedClients, check_address, read_secret
from verifine.graders.remote.client import MAX_REPLY_BYTES
from verifine.graders.sandbox.call import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Built once for a run or a command, and given to `build_grader`."""

    grading: GradingConfig = field(default_factory=GradingConfig)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where keys and secrets are looked up by name; they are never written anywhere."""
    level: Level | None = None
    """How strongly untrusted code is isolated; None: as this machine can. Only its owner may choose UNSAFE."""
    clients: SharedClients = field(default_factory=SharedClients, repr=False, compare=False)
    """The connections to judges and embedders, shared by all graders; a client is closed with its last lease."""
    clock: Clock = field(default=Clock(), repr=False, compare=False)

    @property
    def is_unsafe(self) -> bool:
        """Whether untrusted code runs without isolation."""
        return self.level is Level.UNSAFE

    def for_run(self, grading: GradingConfig) -> Services:
        """The same with the `grading` section of a run; a judge that was given before takes precedence."""
        return replace(self, grading=grading.model_copy(update={"judge": self.grading.judge or grading.judge}))

    def judge(self) -> ServiceConfig:
        """The server of the judge models.

        Without `grading.judge` it is the server in OPENAI_BASE_URL. OpenAI's own server is asked only where its address
        is given.

        Raises:
            GraderError: none is given.
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
            raise GraderError("OPENAI_BASE_URL is not an address; set it as in http://127.0.0.1:8000/v1") from error

    def lease(self, server: ServiceConfig, *, max_reply_bytes: int = MAX_REPLY_BYTES) -> Lease:
        """A client of the server, shared by all graders that ask it.

        Raises:
            GraderError: its address is not valid, or the environment lacks its key.
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
"""No servers, and the strongest isolation this machine has."""
