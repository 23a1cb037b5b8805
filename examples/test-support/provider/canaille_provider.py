"""Canaille as a provider for tests: its forms, its accounts and clients, and a database in memory.

Run by `test_support::provider::canaille`: python canaille_provider.py <configuration as JSON>
Prints one line, {"issuer":"http://127.0.0.1:<port>"}, and ends when its standard input does.
"""

import datetime
import json
import logging
import socket
import sqlite3
import sys

from joserfc.jwk import OKPKey, RSAKey

import canaille
from canaille.app import models
from canaille.backends import Backend
from serving import issuer, serve

# A line for every request and every step of its database would hide what a test says.
logging.disable(logging.INFO)

configuration = json.loads(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
# Two keys without `alg`, as its documentation makes them.
keys = [OKPKey.generate_key("Ed25519", auto_kid=True), RSAKey.generate_key(2048, auto_kid=True)]

# A database in memory is there as long as somebody holds it open.
holder = sqlite3.connect("file:canaille?mode=memory&cache=shared", uri=True)

application = canaille.create_app({
    "SECRET_KEY": "of a test",
    "SERVER_NAME": issuer(listener).removeprefix("http://"),
    "PREFERRED_URL_SCHEME": "http",
    "CANAILLE": {
        # Its own store in memory finds a code by the client that asked for any.
        "DATABASE": "sql",
        "LANGUAGE": "en",
        "JAVASCRIPT": False,
        "LOGGING": {"version": 1, "disable_existing_loggers": False},
    },
    "CANAILLE_SQL": {"DATABASE_URI": "sqlite:///file:canaille?mode=memory&cache=shared&uri=true"},
    "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True) for key in keys]},
})

with application.app_context():
    for fields in configuration["users"]:
        groups = fields.pop("groups")
        user = models.User(**fields)
        Backend.instance.save(user)
        for name in groups:
            Backend.instance.save(models.Group(display_name=name, members=[user]))
    for fields in configuration["clients"]:
        is_audience = fields.pop("is_audience")
        now = datetime.datetime.now(datetime.timezone.utc)
        client = models.Client(**fields, client_id_issued_at=now)
        Backend.instance.save(client)
        if is_audience:
            client.audience = [client]
            Backend.instance.save(client)

serve(application, listener)
