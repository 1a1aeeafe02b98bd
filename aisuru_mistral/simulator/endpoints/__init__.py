"""Every endpoint of the simulator.

Refuses to hold logic. A new one is a module with ROUTES and a line here.
"""

from aisuru_mistral.simulator.endpoints import (
    chat,
    control,
    embeddings,
    fim,
    models,
    moderations,
    users,
)
from aisuru_mistral.simulator.routing import Route

ROUTES: tuple[Route, ...] = (
    *chat.ROUTES,
    *fim.ROUTES,
    *embeddings.ROUTES,
    *moderations.ROUTES,
    *models.ROUTES,
    *users.ROUTES,
    *control.ROUTES,
)
