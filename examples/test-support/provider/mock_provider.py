"""The PyPI package `oidc-provider-mock` as a provider for tests.

Run by `test_support::provider::mock`: python mock_provider.py <users as JSON>
Prints one line, {"issuer":"http://127.0.0.1:<port>"}, and ends when its standard input does.
"""

import json
import logging
import os
import socket
import sys

# Its library refuses plain http anywhere unless it is told.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from oidc_provider_mock import User, app

from serving import serve

# A line for every request would hide what a test says.
logging.disable(logging.INFO)

users = [User(sub=claims.pop("sub"), claims=claims) for claims in json.loads(sys.argv[1])]
serve(app(require_nonce=True, user_claims=users), socket.create_server(("127.0.0.1", 0)))
