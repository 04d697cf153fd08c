from __future__ import annotations

import base64

import pytest

from verifine.errors import GraderError
from verifine.graders.remote import HttpRequest, Signer


def test_the_signature_of_the_specifications_example() -> None:
    # The values of the reference implementation's own test (standard-webhooks, and svix before it).
    signer = Signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    request = HttpRequest(url="", body=b'{"test": 2432232314}', id="msg_p5jXN8AQM9LWM0D4loKWxJek")
    assert signer.headers(request, 1614265330.9) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!fKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_aHVudGVyMg=="],
)
def test_a_secret_of_another_form_is_refused_and_not_told(secret: str) -> None:
    with pytest.raises(GraderError, match="whsec_ and then base64") as caught:
        Signer(secret)
    assert "aHVudGVy" not in str(caught.value)


def test_a_signer_does_not_show_its_secret() -> None:
    assert "hunter" not in repr(Signer("whsec_" + base64.b64encode(b"hunter2" * 4).decode()))
