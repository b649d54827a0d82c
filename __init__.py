"""derlem builds the training corpora of vision-language models.

`derlem.open("derlem.yaml")` gives a `Project`, with one method for each command. An adapter of your own needs
only names from here.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # type checkers take it for true; importing it from `typing` would load that module

if TYPE_CHECKING:
    from .adapters.base import Adapter, Context, Partitioning, SourceOptions
    from .catalog.items import CatalogItem, NoImage, Provenance
    from .catalog.models import Failure, Item, Payload, Rejected
    from .catalog.status import Reason, Status
    from .core.errors import (
        CatalogBusy,
        CatalogMemory,
        CatalogMissing,
        CatalogUnreadable,
        CatalogVersionError,
        ConfigError,
        DerlemError,
        InstanceRunning,
        MissingExtra,
        QueryError,
        UnknownManifest,
    )
    from .core.options import StrictModel
    from .core.progress import Progress, SourceSteps
    from .corpus.errors import CorpusReleased, NotPublishable, NotReleasable, PublishFailed
    from .project import Project, open
    from .sampling.errors import InfeasibleQuotas, Shortfall
    from .setup_checks import doctor, init

_HOMES = {
    "adapters.base": ("Adapter", "Context", "Partitioning", "SourceOptions"),
    "catalog.items": ("CatalogItem", "NoImage", "Provenance"),
    "catalog.models": ("Failure", "Item", "Payload", "Rejected"),
    "catalog.status": ("Reason", "Status"),
    "core.errors": (
        "CatalogBusy",
        "CatalogMemory",
        "CatalogMissing",
        "CatalogUnreadable",
        "CatalogVersionError",
        "ConfigError",
        "DerlemError",
        "InstanceRunning",
        "MissingExtra",
        "QueryError",
        "UnknownManifest",
    ),
    "core.options": ("StrictModel",),
    "core.progress": ("Progress", "SourceSteps"),
    "corpus.errors": ("CorpusReleased", "NotPublishable", "NotReleasable", "PublishFailed"),
    "project": ("Project", "open"),
    "sampling.errors": ("InfeasibleQuotas", "Shortfall"),
    "setup_checks": ("doctor", "init"),
}
"""Public names by module. A module is imported with the first use of one of its names."""

__all__ = [
    "Adapter",
    "CatalogBusy",
    "CatalogItem",
    "CatalogMemory",
    "CatalogMissing",
    "CatalogUnreadable",
    "CatalogVersionError",
    "ConfigError",
    "Context",
    "CorpusReleased",
    "DerlemError",
    "Failure",
    "InfeasibleQuotas",
    "InstanceRunning",
    "Item",
    "MissingExtra",
    "NoImage",
    "NotPublishable",
    "NotReleasable",
    "Partitioning",
    "Payload",
    "Progress",
    "Project",
    "Provenance",
    "PublishFailed",
    "QueryError",
    "Reason",
    "Rejected",
    "Shortfall",
    "SourceOptions",
    "SourceSteps",
    "Status",
    "StrictModel",
    "UnknownManifest",
    "__version__",
    "doctor",
    "init",
    "open",
]


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
