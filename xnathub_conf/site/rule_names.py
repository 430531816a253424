"""Every rule that a site file can break, under the name that reports and `validate --ignore` use.

Names are stable: a rule keeps its name, and a name is not used again for another rule.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Rule(NamedTuple):
    """What a rule asks for, and whether to break it is an error or a warning."""

    text: str
    severity: Literal["error", "warning"] = "error"


RULES: Mapping[str, Rule] = {
    # The text
    "unreadable": Rule("The file can be read."),
    "empty": Rule("The file holds a site."),
    "too-large": Rule("The file is of a size that a site file can have."),
    "encoding": Rule("The text is UTF-8, without control characters."),
    "syntax": Rule("The text is YAML."),
    "tab": Rule("Lines are indented with spaces."),
    "typography": Rule("Spaces, quotes and dashes are plain ones."),
    "several-documents": Rule("There is one YAML document."),
    "too-deep": Rule("Keys and lists lie inside each other at a sensible depth."),
    "alias": Rule("An alias (`*...`) has an anchor above it."),
    "tag": Rule("There are no YAML tags (`!...`)."),
    "key": Rule("Keys are plain text."),
    "merge-key": Rule("There are no merge keys (`<<`)."),
    "duplicate-key": Rule("A key stands once."),
    "ambiguous": Rule("All YAML readers read a value alike."),
    # The schema
    "unknown-key": Rule("There is such a key."),
    "name": Rule("A name that the site gives has the form that is wanted."),
    "required": Rule("Required keys are there."),
    "type": Rule("A value is of its key's type."),
    "x-type": Rule("An amount of memory is one."),
    "enum": Rule("A value is one of those that its key takes."),
    "const": Rule("`version` is one that this release knows."),
    "pattern": Rule("A text has the form that its key asks for."),
    "format": Rule("A text has the form that its key asks for."),
    "not": Rule("A text has the form that its key asks for."),
    "minimum": Rule("A number is not below its key's bound."),
    "exclusiveMinimum": Rule("A number is above its key's bound."),
    "maximum": Rule("A number is not above its key's bound."),
    "minLength": Rule("A text is not too short."),
    "maxLength": Rule("A text is not too long."),
    "minItems": Rule("A list has enough entries."),
    "maxItems": Rule("A list has not too many entries."),
    "uniqueItems": Rule("A list holds each entry once."),
    "minProperties": Rule("Exactly one of the keys stands there."),
    "maxProperties": Rule("Exactly one of the keys stands there."),
    # Addresses
    "address": Rule("Addresses hold a host and a port that can be, and fit together."),
    "loopback": Rule("A container finds the other side at another address than its own.", "warning"),
    "page-address": Rule("XNAT's address is that of XNAT, not of one of its pages.", "warning"),
    "unencrypted": Rule("Passwords go to XNAT over https.", "warning"),
    "trusts-everybody": Rule("The proxies that are believed have addresses of their own.", "warning"),
    "unnamed-proxies": Rule("On Kubernetes the proxies that are believed are named.", "warning"),
    "unverified": Rule("XNAT's certificate is checked.", "warning"),
    "own-certificate": Rule("The hub's own certificate is of use where it is named, and its key belongs to it."),
    "unused-ca-file": Rule("`xnat.ca_file` has an effect."),
    # Folders
    "path": Rule("A path is absolute and in its plain form."),
    "literal-path": Rule("A path is what it says: nothing is put in for a variable, and no names are looked for with `*`.", "warning"),
    "nested-mount": Rule("No mount of the site's lies in another one's folder.", "warning"),
    "path-rule": Rule("Rules under `paths` are unambiguous, and lead where something may be mounted."),
    "never-matches": Rule("A pattern can match something."),
    "duplicate": Rule("An allowed mount stands once."),
    "username": Rule("A user's name is one that XNAT can have; `{username}` is a whole part of a path."),
    "shared-writable": Rule("Only a folder of one user is writable."),
    "link": Rule("Nothing inside a folder that its user may write is mounted by itself."),
    "unused-mount": Rule("Some server gets what a mount of the site's is for.", "warning"),
    "node-itself": Rule("No mount gives servers the node itself, or what rules it."),
    "hub-secret": Rule("No mount gives servers a secret of the hub."),
    "everybodys-data": Rule("No mount of the site's gives everybody what XNAT gives to some.", "warning"),
    "node-folder": Rule("No mount gives servers what the node's own people and programs keep.", "warning"),
    "contrast": Rule("White letters can be read on the site's colour."),
    "reserved-target": Rule("No mount hides a folder of the image."),
    "reserved-variable": Rule("No variable takes over what the hub or the image sets."),
    "old-variable": Rule("A variable of the reference deployment is a key of the site.", "warning"),
    "gpus-for-all": Rule("A server that was granted no GPU sees none.", "warning"),
    "secret-in-environment": Rule("What every user can read is no secret.", "warning"),
    # Servers
    "any-image": Rule("Allowed images are of somebody that the site trusts.", "warning"),
    "image-ahead": Rule("Images that are brought to the nodes ahead of time are named in full, and may be started."),
    "tiny-memory": Rule("An amount of memory is enough to start with.", "warning"),
    "guarantee-above-limit": Rule("What is kept for a server is within its limit and cap."),
    "shm-above-limit": Rule("What a server has of shared memory fits into its memory."),
    "limit-above-cap": Rule("A default limit is within the cap."),
    "start-outlasts-xnat": Rule("The hub gives a start up before XNAT does."),
    "http-outlasts-xnat": Rule("The start and the first answer together end before XNAT gives up.", "warning"),
    "stop-outlasts-xnat": Rule("The hub gives a stop up before XNAT does."),
    "attempt-outlasts-call": Rule("One attempt to reach XNAT ends within the deadline of the call."),
    "rights": Rule("The keys of `servers.security` have an effect, and fit together."),
    "server-network": Rule("What is said of names, addresses and logs of servers has an effect."),
    "networks": Rule("Further networks of servers go round no rule of the others."),
    "meeting-network": Rule("Servers that networks of their own part meet on no other.", "warning"),
    "address-pools": Rule("An engine has addresses for all networks.", "warning"),
    "no-effect": Rule("A key has an effect on the site's orchestrator."),
    "unused-here": Rule("A key of servers does something on the site's orchestrator.", "warning"),
    "internet": Rule("Servers without the internet are kept from it, and reach XNAT all the same."),
    "two-ways-out": Rule("One place says which way out servers have.", "warning"),
    "wide-reach": Rule("What servers without the internet reach is no large part of it.", "warning"),
    "less-protected": Rule("Servers may do no more to their node than by default.", "warning"),
    "unused-right": Rule("What `servers.security` says changes something.", "warning"),
    "huge-memory": Rule("An amount of memory is one that a node can have.", "warning"),
    # Signing in
    "refresh-after-sign-out": Rule("XNAT is asked about a user before their sign-in ends."),
    "user-subdomains": Rule("Users' servers have host names of their own only below one of the hub's own, over https."),
    "form-only": Rule("XNAT's button leads to the notebook, not to a form.", "warning"),
    "session-cookie": Rule("Browsers send the hub the session that they have in XNAT.", "warning"),
    "lock-out": Rule("The hub refuses a guesser before XNAT locks the account.", "warning"),
    "scope": Rule("JupyterHub has such a scope."),
    "role-name": Rule("Services and roles have names of their own."),
    # Orchestrators
    "tls-on-socket": Rule("Only an engine that is reached over the network has TLS."),
    "socket-group": Rule("`hub.gid` says which group owns Docker's socket.", "warning"),
    "public-subnet": Rule("A network's addresses are nobody's in the internet.", "warning"),
    "unencrypted-engine": Rule("The engine is reached over TLS.", "warning"),
    "claim": Rule("Each allowed mount lies in one volume claim."),
    "schedule-outlasts-start": Rule("A pod that can't be placed is given up before the start is."),
    "toleration": Rule("A toleration is one that Kubernetes takes."),
    # Raw settings
    "extra": Rule("`extra` sets a trait that the hub has, and that nothing else decides."),
    "pod-level": Rule("`extra` leaves pods at Kubernetes' level *restricted*.", "warning"),
    "use-key": Rule("What a key of the site does whole, `extra` leaves to it.", "warning"),
    "extra-pair": Rule("`extra` sets no two traits that JupyterHub refuses together."),
    # Secrets, and what the hub's host has
    "secret-form": Rule("A file or variable that holds a secret is named as `{file: ...}` or `{env: ...}`."),
    "same-secret": Rule("Each secret is one of its own.", "warning"),
    "literal-secret": Rule("Secrets stand in files or variables of their own.", "warning"),
    "secret": Rule("A secret can be read, and is long and random enough."),
    "file": Rule("A file that the site names can be used."),
    "variable": Rule("A variable that a trait needs is set."),
}  # fmt: skip
