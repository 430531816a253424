"""Before each spawn: ask XNAT what to start, check it against the policy, and hand it to the adapter."""

from collections.abc import Awaitable, Callable
from typing import Any

from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.launch.plan import LaunchPlan, PlanError, flat_item, read_plan
from xnathub_conf.launch.policy import Policy, PolicyRefusal
from xnathub_conf.launch.start_times import START_TIMES
from xnathub_conf.operating.metrics import REFUSALS
from xnathub_conf.signing_in.alias_tokens import alias_token
from xnathub_conf.site.hub_settings import xnat_public_url
from xnathub_conf.site.types import Site
from xnathub_conf.values.paths import PathTranslation
from xnathub_conf.xnat.answers import XnatBadAnswer, XnatError, XnatNotFound
from xnathub_conf.xnat.client import XnatClient


def keep_flat_options(spawner: Any, options: object) -> None:
    """Replace the user options of a request by the plain facts of the contract.

    They are stored in the hub's database, shown in its API and read by XNAT's plugin, which a nested object breaks;
    and dockerspawner would take an `image` among them for an order.
    """
    spawner.user_options = flat_item(options)
    if spawner.orm_spawner.user_options != spawner.user_options:
        spawner.orm_spawner.user_options = spawner.user_options
        # What is not committed when another request ends is rolled back with it.
        spawner.user.db.commit()


def plan_reader(site: Site) -> Callable[..., LaunchPlan]:
    """Return what turns XNAT's answer for a user's server (the user's name, the server's) into a plan that may start.

    It raises PlanError and PolicyRefusal, and fills a dict that it is given with what the audit log says of the plan.
    """
    policy = Policy(site)
    translate = PathTranslation(
        {rule.from_: rule.to for rule in (*site.paths.archive, *site.paths.workspaces)}
    )

    def read(
        answer: object, username: str, server_name: str, facts: dict[str, str] | None = None
    ) -> LaunchPlan:
        plan = read_plan(answer, username, server_name, translate)
        if facts is not None:
            facts |= _facts(plan)
        return policy.check(plan)

    return read


class LivePolicy:
    """The policy of the site as it is now."""

    def __init__(self, site: Site):
        """Take the site."""
        self.take(site)

    def take(self, site: Site) -> None:
        """Go by this site from the next launch on."""
        self.site, self.read = site, plan_reader(site)


def pre_spawn_hook(policy: LivePolicy, xnat: XnatClient) -> Callable[[object], Awaitable[None]]:
    """Return the hook for Spawner.pre_spawn_hook. It raises LaunchFailed where nothing is started."""

    async def hook(spawner: Any) -> None:
        username, server_name = spawner.user.name, spawner.name
        spawner.begin_launch()

        def read(answer: object) -> Any:
            plan = policy.read(answer, username, server_name, spawner.launch_facts)
            return plan, spawner.prepare(plan)

        try:
            plan, prepared = await xnat.user_options(username, server_name, read)
            await _check_permission(spawner, plan)
            spawner.apply_plan(plan, prepared)
            spawner.step(f"XNAT asks for {plan.image}, and the site's rules allow it", progress=10)
            if sentence := START_TIMES.sentence(plan.image):
                spawner.step(sentence, progress=10)
        except XnatNotFound:
            raise LaunchFailed(
                "nothing-to-start",
                "XNAT holds nothing to start for you.",
                "Go to your project, subject or scan in XNAT and press Start Jupyter there.",
                link=(xnat_public_url(policy.site), "Open XNAT"),
                # Not 404: the hub's page for that shows a text of its own.
                status=409,
            ) from None
        except PolicyRefusal as refusal:
            REFUSALS.labels(refusal.rule).inc()
            key = f" (site.yaml: {refusal.key})" if refusal.key else ""
            raise LaunchFailed(
                refusal.rule,
                f"This site's rules do not allow that server: {refusal}",
                f"Ask your XNAT administrator. The rule is {refusal.rule}{key}.",
                detail=f"[user {username!r}, server {server_name!r}]",
                status=403,
                refused=True,
            ) from None
        except PlanError as error:
            raise LaunchFailed(
                "bad-plan",
                "XNAT asked for a server in a form that can't be read.",
                f"Tell your XNAT administrator: {error}.",
                status=502,
            ) from None
        except XnatError as error:
            raise _xnat_failed(error) from None
        item = _with_request(plan, spawner)
        if item.get("dashboardConfigId") is not None:
            spawner.launch_facts["dashboard"] = str(item["dashboardConfigId"])
        keep_flat_options(spawner, item)

    return hook


def _with_request(plan: LaunchPlan, spawner: Any) -> dict[str, Any]:
    """Return the plan's facts, and where XNAT stores none, what its request says: the item's label, and the dashboard.

    XNAT's pages name servers, and tell dashboards from notebooks, by them. What anybody else sends does not count.
    """
    item = dict(plan.item)
    if _asked_by_xnat(spawner):
        for key in ("itemLabel", "dashboardConfigId"):
            if item.get(key) is None and key in spawner.user_options:
                item[key] = spawner.user_options[key]
    return item


def _asked_by_xnat(spawner: Any) -> bool:
    requester = getattr(spawner.handler, "current_user", None)
    return requester is not None and requester.kind == "service" and requester.name == "xnat"


async def _check_permission(spawner: Any, plan: LaunchPlan) -> None:
    """Ask XNAT whether the user may still start Jupyter, unless it is XNAT that asks for the server."""
    requester = getattr(spawner.handler, "current_user", None)
    if requester is not None and requester.kind == "service":
        if _asked_by_xnat(spawner):
            spawner.authenticator.confirmed(spawner.user)
        return
    alias = alias_token(plan.environment)
    if alias is None:
        return
    if await spawner.authenticator.asking.may_still_start(plan.username, alias) is False:
        raise LaunchFailed(
            "no-permission",
            "Your XNAT account may no longer use Jupyter.",
            "Ask your XNAT administrator.",
            detail=f"[user {plan.username!r}]",
            status=403,
        )


def _facts(plan: LaunchPlan) -> dict[str, str]:
    """Return what the audit log says of a plan: the data and the image."""
    item = {"project": "projectId", "item": "itemId", "type": "xsiType"}
    facts = {name: str(plan.item[key]) for name, key in item.items() if plan.item.get(key) is not None}
    return {"image": plan.image, **facts}


def _xnat_failed(error: XnatError) -> LaunchFailed:
    bad = isinstance(error, XnatBadAnswer)
    return LaunchFailed(
        "xnat",
        "XNAT answered in a way that can't be used." if bad else "XNAT could not be asked what to start.",
        "Try again in a few minutes; if it lasts, tell your XNAT administrator.",
        detail=str(error),
        status=502 if bad else 503,
    )
