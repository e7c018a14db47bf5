class R:
    def __init__(self, u) -> None:
        self.base_url = f"http://{u[0]}:{u[1]}/v1"

    async def close(self) -> None:
        pass


async def start_chain(topology, *, upstream, clock, sink, port=0):
    return R(upstream)
