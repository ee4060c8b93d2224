"""What a setup writes means what was answered, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ajrd import share
from ajrd.config import Config, parse
from ajrd.errors import ConfigError
from ajrd.setup import wanted
from ajrd.setup.answers import Answers
from ajrd.setup.facts import Facts, SlurmFacts
from ajrd.setup.job import Secrets
from ajrd.store.address import Server

CREDENTIALS = "/etc/ajrd/credentials"
#: What every configuration of a setup has beside the defaults.
ALWAYS = {"web": {"socket": "/run/ajrd/ajrd.sock"}, "rules_dirs": ["/etc/ajrd/rules.d"]}


def facts(mysql_socket: str = "", program: str = "/usr/bin/ajrd", **settings: str) -> Facts:
    slurm = SlurmFacts(
        version="22.05.8", cluster="lab", conf="/etc/slurm/slurm.conf", user="slurm",
        partitions=("main",), accounting=True, here=True, settings=settings,
    )  # fmt: skip
    return Facts("head1.example.org", program, slurm, mysql_socket)


def answers(**sections: Any) -> Answers:
    return Answers.model_validate(sections)


def meaning(given: Answers, found: Facts | None = None) -> Config:
    return parse(wanted.config(given, found or facts()), "config.yaml")


def means(**sections: Any) -> Config:
    return Config.model_validate({**ALWAYS, **sections})


def test_without_any_answer_it_observes_with_a_file_of_its_own() -> None:
    assert meaning(answers()) == means()


def test_what_setup_does_not_ask_for_stands_beside_what_it_does() -> None:
    extra = {
        "recovery": {"settle": 0, "backoff": 5},
        "hardware": {"drain": {"enabled": True}, "api": {"healthy": ["GOOD", "ok: yes"]}},
        "notify": {"webhooks": [{"name": "ops", "url": "https://hooks.example.org/a"}]},
        "logging": {"level": "debug"},
    }
    given = answers(extra=extra, hardware={"url": "https://hw/{node}"})
    api = {"url": "https://hw/{node}", "healthy": ["GOOD", "ok: yes"]}
    assert meaning(given) == means(
        recovery={"settle": 0, "backoff": 5},
        hardware={"drain": {"enabled": True}, "api": api},
        notify=extra["notify"],
        logging={"level": "debug"},
    )


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"recovery": {"mode": "act"}}, "extra.recovery.mode: setup has an answer for that"),
        ({"hardware": {"api": {"url": "x"}}}, "extra.hardware.api.url: setup has an answer"),
        ({"rules_dirs": []}, "extra.rules_dirs: setup makes"),
        ({"recovery": 5}, "extra.recovery: must hold keys and values"),
    ],
    ids=["answer", "answer within", "rules", "no section"],
)
def test_what_setup_asks_for_is_no_extra(extra: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        wanted.config(answers(extra=extra, hardware={"url": "https://hw/{node}"}), facts())


def test_each_answer_stands_in_the_configuration() -> None:
    given = answers(
        slurm={"rights": "accounting", "conf": "/cm/slurm.conf", "bin_dir": "/cm/bin"},
        recovery={"mode": "act", "partitions": ["main", "gpu #1"]},
        database={"kind": "mysql", "host": "db1", "name": "a/b", "user": "a@b", "ca": "/ca.pem"},
        loki={
            "url": "https://loki/prefix", "tenants": ["a", "b"], "jobs": ['{job="x: # y"}'],
            "nodes": ['{job="kernel"}'], "user": "ajrd", "ca": "/loki.pem",
        },
        hardware={"url": "https://hw/{node}", "verdict_url": "https://hw/{reference}",
                  "token_file": "/root/token", "ca": "/hw.pem"},
        web={"listen": "0.0.0.0:8470", "operators": ["root", "ada"], "operator_groups": ["ops"]},
        hooks={"controller": True, "shared_dir": "/shared/ajrd/"},
    )  # fmt: skip
    given = given.model_copy(
        update={"database": given.database.model_copy(update={"name": "ajrd"})}
    )
    assert meaning(given, facts(SlurmdUser="slurmd(7)")) == means(
        slurm={"conf": "/cm/slurm.conf", "bin_dir": "/cm/bin"},
        recovery={"mode": "act", "partitions": ["main", "gpu #1"]},
        logs={"report_dir": "/shared/ajrd/steps"},
        hooks={"dirs": ["/var/spool/ajrd/hooks", "/shared/ajrd/messages"],
               "owners": ["slurm", "slurmd"]},
        database={"url": "mysql://a%40b@db1/ajrd", "password_file": f"{CREDENTIALS}/db-password",
                  "tls": {"ca": "/ca.pem"}},
        loki={
            "url": "https://loki/prefix", "tenants": ["a", "b"], "jobs": ['{job="x: # y"}'],
            "nodes": ['{job="kernel"}'], "tls": {"ca": "/loki.pem"},
            "auth": {"user": "ajrd", "password_file": f"{CREDENTIALS}/loki-password"},
        },
        hardware={"api": {
            "url": "https://hw/{node}", "verdict_url": "https://hw/{reference}",
            "token_file": f"{CREDENTIALS}/hardware-token", "tls": {"ca": "/hw.pem"},
        }},
        web={"socket": "/run/ajrd/ajrd.sock", "listen": "0.0.0.0:8470",
             "operators": ["root", "ada"], "operator_groups": ["ops"]},
    )  # fmt: skip


@settings(max_examples=40)
@example(["\x85"], "\x85")
@given(st.lists(st.text(min_size=1), min_size=1), st.text(min_size=1))
def test_no_text_can_mean_anything_else_in_yaml(partitions: list[str], conf: str) -> None:
    given = answers(recovery={"partitions": partitions}, slurm={"conf": conf})
    assert meaning(given) == means(recovery={"partitions": partitions}, slurm={"conf": conf})


def test_it_holds_nothing_that_is_the_default_anyway() -> None:
    text = wanted.config(answers(), facts())
    assert set(yaml.safe_load(text)) == {"recovery", "database", "web", "rules_dirs"}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "mysql://ajrd@localhost/ajrd?unix_socket=/run/mysqld/mysqld.sock"),
        ({"socket": "/s"}, "mysql://ajrd@localhost/ajrd?unix_socket=/s"),
        ({"host": "db1", "port": 3307}, "mysql://ajrd@db1:3307/ajrd"),
        ({"host": "::1"}, "mysql://ajrd@[::1]/ajrd"),
        ({"host": "db1", "name": "a?b", "user": "c:d"}, "mysql://c%3Ad@db1/a%3Fb"),
    ],
)
def test_a_server_on_this_host_is_reached_by_its_socket(given: dict[str, Any], url: str) -> None:
    database = answers(database={"kind": "mysql", **given}).database
    found = facts("/run/mysqld/mysqld.sock")
    assert wanted.database_url(database, found) == url
    assert isinstance(wanted.address(database, found, None).place, Server)


@pytest.mark.parametrize(
    ("given", "socket"),
    [
        ({"host": "head1"}, "/sock"),
        ({"host": "head1", "admin_user": "dba"}, None),
        ({"host": "head1", "admin_defaults_file": "/root/.my.cnf"}, None),
        ({"host": "db1"}, None),
    ],
)
def test_an_administrator_without_a_name_comes_by_the_socket_of_this_host(
    given: dict[str, Any], socket: str | None
) -> None:
    database = answers(database={"kind": "mysql", **given}).database
    assert wanted.admin(database, facts("/sock"), Secrets()).socket == socket


# Kept answers


def test_kept_answers_name_no_administrator_and_point_to_the_credentials() -> None:
    given = answers(
        database={"kind": "mysql", "admin_user": "dba", "admin_password_file": "/root/p",
                  "password_file": "/root/q", "host": "db1"},
        loki={"url": "https://loki", "token_file": "/root/t"},
        hardware={"url": "https://hw", "token_file": "/root/h"},
    )  # fmt: skip
    text = wanted.kept_answers(given, 990)
    assert "/root" not in text
    assert "dba" not in text
    kept = Answers.model_validate(yaml.safe_load(text))
    assert kept.database.password_file == f"{CREDENTIALS}/db-password"
    assert kept.loki.token_file == f"{CREDENTIALS}/loki-token"
    assert kept.hardware.token_file == f"{CREDENTIALS}/hardware-token"
    assert kept.host.uid == 990
    assert wanted.config(kept, facts()) == wanted.config(given, facts())
    assert wanted.kept_answers(kept, 990) == text


# systemd


@pytest.mark.parametrize("name", [wanted.SERVICE, wanted.WATCHDOG])
def test_a_unit_is_as_delivered_but_for_the_place_of_the_program(name: str) -> None:
    delivered = share.path(f"systemd/{name}").read_text()
    assert wanted.unit(name, facts()) == delivered
    elsewhere = wanted.unit(name, facts(program="/opt/ajrd/bin/ajrd"))
    assert "ExecStart=/opt/ajrd/bin/ajrd " in elsewhere
    assert elsewhere.replace("/opt/ajrd/bin/ajrd", "/usr/bin/ajrd") == delivered


def test_there_is_no_drop_in_where_nothing_is_to_be_said() -> None:
    for name in (wanted.SERVICE, wanted.WATCHDOG):
        assert wanted.drop_in(name, answers(), facts(), "ajrd") == ""


def test_both_units_run_as_slurm_user_where_that_is_asked_for() -> None:
    given = answers(slurm={"rights": "slurm-user"})
    for name in (wanted.SERVICE, wanted.WATCHDOG):
        assert "User=slurm\nGroup=hpc\n" in wanted.drop_in(name, given, facts(), "hpc")
    assert " 3733 slurm hpc " in wanted.tmpfiles("slurm", "hpc")


def test_the_service_may_delete_the_messages_of_nodes() -> None:
    given = answers(hooks={"shared_dir": "/shared/100% a"})
    text = wanted.drop_in(wanted.SERVICE, given, facts(), "ajrd")
    assert 'ReadWritePaths="-/shared/100%% a/messages"\n' in text
    assert wanted.drop_in(wanted.WATCHDOG, given, facts(), "ajrd") == ""


def test_the_watchdog_is_told_where_slurm_is_for_it_reads_no_configuration() -> None:
    given = answers(slurm={"conf": "/cm/slurm.conf", "bin_dir": "/cm/$x/bin"})
    text = wanted.drop_in(wanted.WATCHDOG, given, facts(), "ajrd")
    command = "/usr/bin/ajrd watchdog --slurm-conf /cm/slurm.conf --bin-dir /cm/$$x/bin"
    assert f"ExecStart=\nExecStart={command}\n" in text


def test_the_user_gets_the_number_that_is_wanted() -> None:
    assert '\nu ajrd 990 "' in wanted.sysusers(990)
    assert '\nu ajrd - "' in wanted.sysusers(None)
