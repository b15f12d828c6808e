import pytest

import agents


def start(role, folder, lines="", serve_arguments=(), port=None):
    """A master with these lines and serve behind or in it: (serve, whom to ask)."""
    port = port or agents.free_port()
    if role == "standalone":
        folder.mkdir(parents=True, exist_ok=True)
        access = folder / "access.conf"
        access.write_text(agents.ACCESS_LINES + lines)
        access.chmod(0o600)
        serve = agents.Serve(folder, "--listen", f"udp:127.0.0.1:{port}", "--access", access, "--state", folder,
                             *serve_arguments, mode="standalone")
        serve.port = port
        return serve, serve
    master = agents.Snmpd(folder / "snmpd", agents.ACCESS_LINES + lines, port)
    try:
        serve = agents.Serve(folder, "--agentx", master.socket, "--state", folder, *serve_arguments, mode="subagent")
    except BaseException:
        master.end()
        raise
    if not agents.wait_until(serve.connected, 5):
        serve.end()
        master.end()
        raise AssertionError(serve.text())
    return serve, master


@pytest.fixture(scope="module", params=["subagent", "standalone"])
def agent(request, tmp_path_factory):
    serve, master = start(request.param, tmp_path_factory.mktemp(request.param))
    master.role = request.param
    yield master
    assert serve.quit() == 0
    master.end()


@pytest.fixture
def started(tmp_path):
    """start(...), ended with the test."""
    processes = []

    def begin(role, *arguments, **options):
        folder = tmp_path / f"{role}{len(processes)}"
        pair = start(role, folder, *arguments, **options)
        processes.extend(pair)
        return pair

    yield begin
    for process in processes:
        process.end()
