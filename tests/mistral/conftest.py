import uvloop


def pytest_asyncio_loop_factories(config, item):
    """Run what is asynchronous here on the loop that the service runs on."""
    return {"uvloop": uvloop.new_event_loop}
