"""Tokens of a real Keycloak by password grant, and clients whose tokens are bad in one way."""

import json
import time
from typing import Any
from urllib.parse import urlencode

from e2e_http import Api

_KEPT_SECONDS = 120  # the realm's tokens last for 300


class Keycloak:
    """Signs in users of the realm `iam`, whose password is their name. `issued` holds every token it ever gave."""

    def __init__(self, api: Api, issuer: str) -> None:
        self.api = api
        self.issuer = issuer
        self.issued: set[str] = set()
        self._kept: dict[tuple[str, str], tuple[float, str]] = {}

    def token(self, user: str, client: str = "k8s") -> str:
        """Return an access token that is good for minutes, the same one for some time."""
        made, token = self._kept.get((user, client), (0.0, ""))
        if time.monotonic() - made > _KEPT_SECONDS or not token:
            token = self.new_token(user, client)
            self._kept[user, client] = (time.monotonic(), token)
        return token

    def new_token(self, user: str, client: str = "k8s") -> str:
        """Sign in anew."""
        return self._sign_in("iam", user, user, client)["access_token"]

    def refresh_token(self, user: str, client: str = "k8s") -> str:
        """Return what only Keycloak itself may be shown."""
        return self._sign_in("iam", user, user, client)["refresh_token"]

    def administrator(self) -> str:
        """Return an access token of another realm."""
        return self._sign_in("master", "admin", "admin", "admin-cli")["access_token"]

    def add_client(self, name: str, audience: str, **attributes: str) -> None:
        """Add a client like `k8s` to the realm, whose tokens name `audience`."""
        admin = Api(self.api.url, self.api.ca, self.administrator())
        model: dict[str, Any] = admin.ask("GET", "/admin/realms/iam/clients?clientId=k8s").json()[0]
        mappers = [_without_id(mapper) for mapper in model["protocolMappers"]]
        for mapper in mappers:
            if mapper["config"].pop("included.client.audience", None):
                mapper["config"]["included.custom.audience"] = audience
        model |= {"clientId": name, "protocolMappers": mappers, "attributes": model["attributes"] | attributes}
        admin.make("/admin/realms/iam/clients", _without_id(model))

    def _sign_in(self, realm: str, user: str, password: str, client: str) -> dict[str, str]:
        form = {"grant_type": "password", "client_id": client, "username": user, "password": password, "scope": "openid"}
        answer = self.api.ask(
            "POST",
            f"/realms/{realm}/protocol/openid-connect/token",
            urlencode(form).encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.status == 200, answer
        tokens: dict[str, str] = json.loads(answer.body)
        self.issued |= {tokens[kind] for kind in ("access_token", "refresh_token", "id_token") if kind in tokens}
        return tokens


def _without_id(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "id"}
