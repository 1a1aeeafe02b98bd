"""Every endpoint of the simulator.

Refuses to hold logic. A new one is a module with ROUTES and a line here.
"""

from aisuru_mistral.simulator.endpoints import (
    admin,
    agents,
    aisuru,
    batch,
    chat,
    classifications,
    control,
    conversations,
    embeddings,
    files,
    fim,
    fine_tuning,
    models,
    moderations,
    ocr,
    responses,
    speech,
    transcriptions,
    users,
)
from aisuru_mistral.simulator.routing import Route

ROUTES: tuple[Route, ...] = (
    *chat.ROUTES,
    *fim.ROUTES,
    *embeddings.ROUTES,
    *agents.ROUTES,
    *responses.ROUTES,
    *moderations.ROUTES,
    *classifications.ROUTES,
    *ocr.ROUTES,
    *transcriptions.ROUTES,
    *speech.ROUTES,
    *conversations.ROUTES,
    *files.ROUTES,
    *batch.ROUTES,
    *fine_tuning.ROUTES,
    *models.ROUTES,
    *users.ROUTES,
    *admin.ROUTES,
    *aisuru.ROUTES,
    *control.ROUTES,
)
