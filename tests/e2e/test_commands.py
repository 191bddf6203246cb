"""The command line as a stranger meets it: help, wrong options, wrong settings, tokens."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.process import PATIENCE_S, Groupd, Process, environment
from tests.e2e.raw import dial

COMMANDS = (
    *("serve", "token", "chat", "log", "check", "backup", "export", "import", "mend"),
    *("health", "config", "revoke", "disconnect", "tokens", "bench"),
    *("audit", "consumers", "demo"),
)
GROUPD = Path(sys.executable).with_name("groupd")


def test_the_installed_script_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(GROUPD), "--help"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stderr == ""
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
async def test_each_command_has_help(groupd: Groupd, command: str) -> None:
    done = await groupd.run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: groupd " + command)
    assert list(groupd.directory.glob("groupd-data")) == []


async def test_without_a_command_it_helps_and_does_nothing(groupd: Groupd) -> None:
    done = await groupd.run()
    assert done.returncode == 0
    assert "serve" in done.stdout
    version = await groupd.run("--version")
    assert version.stdout.strip().count(".") == 2


WRONG = {
    "an option that is none": ("serve --no-such-option", "no-such-option"),
    "a command that is none": ("sing", "sing"),
    "a number that is none": ("log G --after soon", "soon"),
    "a level that is none": ("serve --log-level loud", "loud"),
    "a user that is missing": ("token", "--user"),
    "a token that is missing": ("chat", "--token"),
    "an address that is none": ("serve --listen nowhere", "tcp://HOST:PORT"),
    "a port that is none": ("serve --listen tcp://127.0.0.1:x", "tcp://127.0.0.1:x"),
    "an address of nobody": ("serve --listen tcp://192.0.2.1:1", "tcp://192.0.2.1:1"),
    "a duration that is none": ("token ann --expires-in 5", "90s"),
    "a file that is missing": ("serve --config nowhere.toml", "nowhere.toml"),
    "a user id too long": (f"token {'x' * 65}", "64"),
    "a store that is missing": ("check --data nowhere", "nowhere"),
    "a store that is missing, again": ("log G --data nowhere", "nowhere"),
    "a backup of nothing": ("backup copy --data nowhere", "nowhere"),
    "an export of nothing": ("export copy --data nowhere", "nowhere"),
    "an import of nothing": ("import copy --data nowhere", "copy"),
    "a group of nothing to mend": ("mend G --from copy --data nowhere", "nowhere"),
    "a configuration that is missing": ("config check nowhere.toml", "nowhere.toml"),
    "a listener for probes that is missing": ("health", "metrics.listen"),
    "an audit of nothing": ("audit --data nowhere", "nowhere"),
    "consumers of nothing": ("consumers --data nowhere", "nowhere"),
    "a number of entries below one": ("audit --limit 0", "limit"),
    "a user of nothing": ("revoke ann --data nowhere", "nowhere"),
    "a session of nobody": ("disconnect ann --data nowhere", "nowhere"),
    "a time that is none": ("revoke ann --before noon", "2026-01-31T12:00:00Z"),
    "tenants of nobody": ("token ann --all-tenants", "--operator"),
    "a place for browsers that is none": ("demo --web nowhere", "http://HOST:PORT"),
    "a limit below one": ("log G --limit -5", "limit"),
    "a limit of none": ("log G --limit 0", "limit"),
    "a seq below none": ("log G --after -1", "after"),
    "a user that shows nothing": ("token \u200b --data nowhere", "show something"),
    "a key of nothing": ("key make shop --data nowhere", "nowhere: there is no store"),
    "keys of nothing": ("key list --data nowhere", "nowhere: there is no store"),
    "a key to take away of nothing": ("key remove shop --data nowhere", "there is no store"),
    "an index of nothing": ("check --rebuild-index --data nowhere", "nowhere"),
}


MISTYPED = (
    *list(WRONG)[:6],
    *("a duration that is none", "a time that is none"),
    *("a limit below one", "a limit of none", "a seq below none"),
    "a number of entries below one",
)
"""What the parser of the command line refuses, with another code by custom."""


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_wrong_is_named(groupd: Groupd, what: str) -> None:
    line, named = WRONG[what]
    done = await groupd.run(*line.split())
    assert done.returncode == (2 if what in MISTYPED else 1)
    assert named in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not (groupd.directory / "nowhere").exists()


async def test_a_key_can_be_made_before_the_server_that_has_the_same_file(groupd: Groupd) -> None:
    (groupd.directory / "groupd.toml").write_text('data = "later"\n')
    made = await groupd.run("key", "make", "shop", "--config", "groupd.toml")
    assert made.returncode == 0, made.stderr
    assert "shop" in (await groupd.run("key", "list", "--config", "groupd.toml")).stdout


async def test_a_server_in_memory_has_keys_too(groupd: Groupd) -> None:
    async with groupd.serving(None, "--memory") as server:
        made = await groupd.run("key", "make", "shop", "--data", str(server.data))
    assert made.returncode == 0, made.stderr


CONFIGS = {
    "listen = 5": "$.listen",
    "data = 5": "expected str @ $.data",
    "[limits]\nframe_max_bytes = 'large'": "expected int @ $.limits.frame_max_bytes",
    "[limits]\nframe_max_bytes = true": "expected int @ $.limits.frame_max_bytes",
    "[limits]\nframe_max_bytes = 100": "limits",
    "[limits]\nno_such_limit = 1": "no_such_limit",
    "[limits]\nmailbox_max = 0": "mailbox_max",
    "[auth]\nsecret = 'short'": "32",
    "[auth]\npublic_keys = ['nowhere.pem']": "nowhere.pem",
    "[plans.gold]\nmembers_max = 'many'": "expected int @ $.plans.gold.members_max",
    "default_plan = 'gold'": "gold",
    "link_url = 'https://example.org'": "link_url",
    "log_level = 'loud'": "log_level",
    "this is not TOML": "not TOML",
}


@pytest.mark.parametrize("text", CONFIGS)
async def test_a_wrong_setting_is_named_with_its_path(groupd: Groupd, text: str) -> None:
    path = groupd.directory / "groupd.toml"
    path.write_text(text)
    done = await groupd.run("serve", "--config", path)
    assert done.returncode == 1, done.stdout
    complaint = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert complaint[0].startswith("groupd: ")
    assert CONFIGS[text] in complaint[0]
    assert "Traceback" not in done.stderr


async def test_a_token_is_what_the_server_takes(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        done = await groupd.run(
            "token", "ann", "--data", server.data, "--name", "Ann \N{HOT BEVERAGE}", "--plan",
            "wechat", "--expires-in", "90s",
        )  # fmt: skip
        assert done.returncode == 0
        assert done.stderr == ""
        payload = done.stdout.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert (claims["sub"], claims["plan"]) == ("ann", "wechat")
        assert claims["exp"] - claims["iat"] == 90
        async with dial(server.url) as client:
            told = await client.hello(done.stdout.strip())
            assert told["user"] == "ann"
            assert told["limits"]["plan"]["members_max"] == 500


async def test_a_token_for_an_operator_says_of_which_tenants(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        for options, scope in (
            ((), None),
            (("--operator",), "operator"),
            (("--operator", "--all-tenants"), "operator:all"),
        ):
            done = await groupd.run("token", "ops", "--data", server.data, *options)
            payload = done.stdout.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            assert claims.get("scope") == scope
            async with dial(server.url) as client:
                await client.hello(done.stdout.strip())
                if scope is None:
                    assert (await client.refusal("operator_figures")).code == "unknown_method"
                else:
                    assert (await client.ask("operator_figures"))["connections"] == 1


async def test_a_token_is_not_made_for_a_directory_that_has_no_server(groupd: Groupd) -> None:
    """Its secret would be one that no server knows."""
    done = await groupd.run("token", "ann", "--data", groupd.directory / "typo")
    assert (done.returncode, done.stdout) == (1, "")
    assert "typo" in done.stderr
    assert not (groupd.directory / "typo").exists()


async def test_what_users_say_cannot_paint_the_operators_terminal(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        async with server.enter("[red]eve\\") as eve:
            group = (await eve.ask("create", name="[bold]x[/] :bomb: \\"))["group"]
            await eve.ask("post", group=group, text=":smile: [link=x]y[/link] \u202e\n\u2028 [/]")
        done = await groupd.run("log", group, "--data", server.data)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("\n") == 3
        assert "[red]eve\\" in done.stdout
        assert "name='[bold]x[/] :bomb: \\\\'" in done.stdout
        assert ":smile: [link=x]y[/link] \\u202e\\n\\u2028 [/]" in done.stdout


async def test_the_data_directory_and_its_secrets_are_private(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        modes = {path.name: path.stat().st_mode & 0o777 for path in server.data.iterdir()}
        assert server.data.stat().st_mode & 0o077 == 0
        for name in ("secret", "link-keys.json", "groupd.sock"):
            assert modes[name] == 0o600


async def test_a_server_in_memory_forgets(groupd: Groupd) -> None:
    async with groupd.serving(None, "--memory") as server:
        async with server.enter("ann") as ann:
            assert (await ann.ask("create", name="Tea"))["seq"] == 1
        assert "All is well" in (await groupd.run("check", "--data", server.data)).stdout
        assert await server.terminate() == 0
        assert not list(server.data.glob("*.sqlite3*"))


async def test_chat_says_at_once_that_nobody_answers(groupd: Groupd) -> None:
    done = await groupd.run("chat", "--token", "t", "--server", "tcp://127.0.0.1:1")
    assert done.returncode == 1
    assert "nobody answers there" in done.stderr


async def test_people_chat_from_their_terminals(groupd: Groupd) -> None:
    def chat(server: Process, user: str, *lines: str) -> str:
        command = [GROUPD, "chat", "--server", server.url, "--token", server.token(user)]
        done = subprocess.run(
            [str(word) for word in command],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            env=environment(),
            timeout=PATIENCE_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    async with groupd.serving() as server:
        said = chat(server, "ann", "/create Tea", "/update join_policy=approval", "/help", "/link")
        assert "You are ann." in said
        assert "/approve USER" in said
        group = said.split("Founded Tea: ")[1].split(".")[0]
        said = chat(server, "bob", "/search tea", f"/join {group} please")
        assert "you wait for its admins" in said
        said = chat(server, "ann", "/requests", "/approve bob", "welcome @bob", "/quit", "never")
        assert "please" in said
        said = chat(server, "bob", "/chats", "/history", "/kick ann")
        assert "ann welcome @bob" in said
        assert "Not done: the caller's role in the group is too low." in said
        assert "never" not in said


async def test_a_user_is_shown_the_door(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        old = server.token("ann")
        async with server.enter("ann") as ann, server.enter("bob") as bob:
            done = await groupd.run("disconnect", "ann", "--data", server.data)
            assert (done.returncode, done.stdout) == (0, "Sessions of ann ended: 1.\n")
            assert (await ann.drain() or {})["code"] == "unauthenticated"
            await bob.ask("ping")
        async with server.enter("ann") as ann:
            done = await groupd.run("revoke", "ann", "--data", server.data)
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("Tokens of ann from before 20")
            assert done.stdout.endswith("Sessions ended: 1.\n")
            assert (await ann.drain() or {})["message"] == "the token was revoked"
        async with dial(server.url) as client:
            assert (await client.refusal("hello", token=old)).code == "unauthenticated"
        done = await groupd.run(
            "revoke", "ann", "--data", server.data, "--before", "2999-01-01T00:00:00+08:00"
        )
        assert done.returncode == 1
        assert "not in the future" in done.stderr
        await server.kill()
    async with groupd.serving(server.data) as again, dial(again.url) as client:
        assert (await client.refusal("hello", token=old)).code == "unauthenticated"
        await client.hello(again.token("bob"))


async def test_tokens_are_revoked_while_no_server_runs(groupd: Groupd) -> None:
    async with groupd.serving() as server:
        old = server.token("ann", tenant="shop")
        async with server.enter("ann"):
            pass
        assert await server.terminate() == 0
    done = await groupd.run("revoke", "ann", "--tenant", "shop", "--data", server.data)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("No server is running.\n")
    async with groupd.serving(server.data) as again, dial(again.url) as client:
        assert (await client.refusal("hello", token=old)).code == "unauthenticated"
        await client.hello(again.token("ann"))
