"""jsonschema without its optional checkers of formats, which the schema of site.yaml does not use.

jsonschema imports whatever checkers are installed, and JupyterHub brings all of them: one, rfc3987_syntax, builds a parser
of IRIs as it is imported, for longer than all the rest of `xnathub validate` takes. In a process that has jsonschema
already nothing changes.
"""

import sys

_CHECKERS = (
    "fqdn", "idna", "isoduration", "jsonpointer", "rfc3339_validator", "rfc3986_validator", "rfc3987",
    "rfc3987_syntax", "uri_template", "webcolors",
)  # fmt: skip

_left_out = [name for name in _CHECKERS if name not in sys.modules]
# None makes an import fail as if the module were not installed, which jsonschema provides for.
sys.modules.update(dict.fromkeys(_left_out))  # type: ignore[arg-type]
try:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import extend
finally:
    for _name in _left_out:
        del sys.modules[_name]

__all__ = ["Draft202012Validator", "ValidationError", "extend"]
