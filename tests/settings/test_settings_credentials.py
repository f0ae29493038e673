import pytest

BASE = """
public_url: https://entry.example
issuers: [{issuer: "https://keycloak.example"}]
clusters:
- {namespace: team-a, name: prod, api: {url: "https://10.0.1.10", credential: %s}}
"""
PATH = "clusters[0].api.credential"


@pytest.mark.parametrize(
    "credential",
    [
        "{kind: pass_token, audience: k8s}",
        "{kind: impersonate, token_file: proxy.token}",
        "{kind: impersonate, token_file: proxy.token, groups: all}",
        "{kind: impersonate, client_certificate_file: tls.crt, client_key_file: tls.key}",
        "{kind: token, token_file: proxy.token}",
        "{kind: identity_headers, user_header: X-User}",
        "{kind: identity_headers, user_header: X-User, role_header: X-Role, role: Admin, name_header: X-Name, email_header: X-Email}",
        "{kind: none}",
    ],
)
def test_every_kind_is_read(read, credential):
    assert read(BASE % credential).clusters[0].api.credential.kind in credential


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        ("{}", [".kind: missing: one of pass_token, impersonate, token, identity_headers, none"]),
        ("{kind: magic}", [".kind: unknown kind: one of pass_token, impersonate, token, identity_headers, none"]),
        ("{kind: [none]}", [".kind: unknown kind: one of pass_token, impersonate, token, identity_headers, none"]),
        ("none", [": must be a mapping"]),
        ("{kind: pass_token}", [".audience: missing"]),
        ("{kind: pass_token, audience: ''}", [".audience: must be visible ASCII and not empty"]),
        ("{kind: none, token_file: proxy.token}", [".token_file: unknown key for this kind"]),
        ("{kind: token, token: abc}", [".token_file: missing", ".token: unknown key: did you mean token_file?"]),
        ("{kind: impersonate}", [".token_file: missing: give token_file, or client_certificate_file with client_key_file"]),
        ("{kind: impersonate, token_file: null}", [".token_file: missing: give token_file, or client_certificate_file with client_key_file"]),
        ("{kind: impersonate, token_file: absent}", [".token_file: not found"]),
        ("{kind: impersonate, token_file: proxy.token, groups: some}", [".groups: must be one of 'effective' or 'all'"]),
        (
            "{kind: impersonate, client_certificate_file: tls.crt}",
            [".client_key_file: client_certificate_file and client_key_file go together"],
        ),
        ("{kind: impersonate, client_key_file: tls.key}", [
            ".client_key_file: client_certificate_file and client_key_file go together",
        ]),
        ("{kind: impersonate, client_certificate_file: tls.crt, client_key_file: other.key}", [
            ".client_key_file: is not the key of tls.crt",
        ]),
        ("{kind: impersonate, client_certificate_file: absent, client_key_file: tls.key}", [
            ".client_certificate_file: not found",
        ]),
        ("{kind: impersonate, client_certificate_file: absent, client_key_file: absent}", [
            ".client_certificate_file: not found",
            ".client_key_file: not found",
        ]),
        ("{kind: impersonate, client_certificate_file: tls.crt, client_key_file: tls.key, token_file: proxy.token}", [
            ".token_file: give either token_file or the client certificate, not both",
        ]),
        ("{kind: impersonate, client_certificate_file: absent, client_key_file: tls.key, token_file: proxy.token}", [
            ".client_certificate_file: not found",
            ".token_file: give either token_file or the client certificate, not both",
        ]),
        ("{kind: identity_headers}", [".user_header: missing"]),
        ("{kind: identity_headers, user_header: Authorization}", [".user_header: this header has a meaning of its own: name another"]),
        ("{kind: identity_headers, user_header: X-User, name_header: x-user}", [".name_header: the same header as user_header"]),
        ("{kind: identity_headers, user_header: X-User, role_header: X-Role}", [".role: role_header and role go together"]),
        ("{kind: identity_headers, user_header: X-User, role: Admin}", [".role: role_header and role go together"]),
        ("{kind: identity_headers, user_header: X-User, role_header: 'X Role', role: Admin}", [
            ".role_header: not a header name: letters, digits and hyphens",
        ]),
        ('{kind: identity_headers, user_header: X-User, role_header: X-Role, role: "a\\nb"}', [
            ".role: must be visible ASCII and not empty",
        ]),
    ],
)  # fmt: skip
def test_what_a_credential_lacks_is_told_at_its_path_without_its_kind(problems, credential, expected):
    assert problems(BASE % credential) == [PATH + end for end in expected]


def test_a_missing_credential_of_a_childs_api_names_the_kinds(problems):
    assert problems("""
        public_url: https://entry.example
        issuers: [{issuer: "https://keycloak.example"}]
        clusters: [{namespace: team-a, name: prod, api: {url: "https://10.0.1.10"}}]
    """) == [PATH + ": missing: a mapping with its kind: pass_token, impersonate, token, identity_headers, none"]
