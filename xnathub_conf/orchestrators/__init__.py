"""One module for each orchestrator, with its Kind: what differs from the others, and where its parts are.

Which there are stands in site/kinds. Nothing heavy is imported here: a spawner, the checks of doctor and what render writes are named by
text alone.
"""
