"""The private keys of the token, attacked with PyPI python-pkcs11 and the PIN in hand.

Checks: neither the private value can be read nor the key wrapped away, of every private key in the token; a key made
careless on purpose gives both, so that the attack is seen to work.
"""

import os

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from .house import CREDENTIALS, House
from .report import Failed, check, equal, expect

SECRETS = {KeyType.RSA: Attribute.PRIVATE_EXPONENT, KeyType.EC: Attribute.VALUE}


def run(house: House) -> None:
    """Attacks every private key."""
    library = pkcs11.lib(os.environ["SEALKEEP_PKCS11_MODULE"])
    pin = (house.dir / "pin").read_text().strip()
    with library.get_token(token_label="sealkeep").open(user_pin=pin) as session:
        with check("a careless key is read and wrapped away with PyPI python-pkcs11"):
            _careless(session)
        keys = list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.TOKEN: True}))
        with check("every credential has its private key in the token") as detail:
            equal(len(keys), len(CREDENTIALS), "private keys")
            detail.append(f"{len(keys)} keys")
        for key in keys:
            with check(f"private key {key.label or key.id.hex()} cannot be read or wrapped away") as detail:
                _attack(session, key)
                detail.append(key.key_type.name)


def _attack(session: pkcs11.Session, key: pkcs11.PrivateKey) -> None:
    try:
        key[SECRETS[key.key_type]]
    except pkcs11.AttributeSensitive:
        pass
    else:
        raise Failed("the private value was read")
    wrapper = _wrapper(session)
    try:
        wrapper.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP_PAD)
    except pkcs11.exceptions.KeyUnextractable:
        pass
    else:
        raise Failed("the key was wrapped away")


def _careless(session: pkcs11.Session) -> None:
    loose = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
    _, key = session.generate_keypair(KeyType.RSA, 2048, private_template=loose, store=False)
    expect(key[Attribute.PRIVATE_EXPONENT], "no private value")
    expect(_wrapper(session).wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP_PAD), "nothing wrapped")


def _wrapper(session: pkcs11.Session) -> pkcs11.SecretKey:
    """An AES key of this session only."""
    return session.generate_key(KeyType.AES, 256, store=False, template={Attribute.WRAP: True})
