"""An issuer of JSON Web Tokens on PyPI's pyjwt and cryptography, run by the Python that has them.

stdin: {"keys": {name: [alg, kid or null]}, "tokens": {name: {"key", "payload": text, "header": {...}}}}
stdout: {"jwks": {name: JWK}, "tokens": {name: token}}
"""

import json
import sys

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import algorithms
from jwt.api_jws import PyJWS

CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


def make_key(alg):
    if alg in CURVES:
        return ec.generate_private_key(CURVES[alg]())
    return ed25519.Ed25519PrivateKey.generate() if alg == "EdDSA" else rsa.generate_private_key(65537, 2048)


def jwk_of(key, alg, kid):
    kind = (algorithms.ECAlgorithm if alg in CURVES else
            algorithms.OKPAlgorithm if alg == "EdDSA" else algorithms.RSAAlgorithm)
    jwk = kind.to_jwk(key.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return jwk | {"alg": alg, "use": "sig"} | ({"kid": kid} if kid else {})


def main():
    order = json.load(sys.stdin)
    keys = {name: (make_key(alg), alg, kid) for name, (alg, kid) in order["keys"].items()}
    tokens = {}
    for name, token in order["tokens"].items():
        key, alg, kid = keys[token["key"]]
        header = ({"kid": kid} if kid else {}) | token.get("header", {})
        tokens[name] = PyJWS().encode(token["payload"].encode(), key, algorithm=alg,
                                      headers={name: value for name, value in header.items() if value is not None})
    json.dump({"jwks": {name: jwk_of(*key) for name, key in keys.items()}, "tokens": tokens}, sys.stdout)


if __name__ == "__main__":
    main()
