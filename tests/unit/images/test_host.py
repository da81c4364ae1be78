from pathlib import Path

from images import host


def test_proxy_and_index_settings_reach_the_build_quoted() -> None:
    environ = {"https_proxy": "http://p:1", "UV_INDEX_URL": "https://u:a b@index/", "HOME": "/root", "NO_PROXY": ""}
    assert host.write_settings(environ, None) == (
        "export UV_INDEX_URL='https://u:a b@index/'\nexport https_proxy=http://p:1\n"
    )


def test_the_ca_bundle_is_named_where_the_build_sees_it() -> None:
    assert host.write_settings({}, Path("/etc/company.pem")) == "export SSL_CERT_FILE=/run/secrets/ca\n"


def test_the_bundle_that_the_environment_names_is_preferred(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert host.find_ca({"SSL_CERT_FILE": "/missing", "REQUESTS_CA_BUNDLE": str(bundle)}) == bundle
