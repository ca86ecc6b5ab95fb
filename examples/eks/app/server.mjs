// A service that is good to deploy: it listens where it is told, says how it is, and ends calmly.

import { createServer } from "node:http";

const { HOST = "0.0.0.0", PORT = "8080", GREETING = "hello", LANDFALL_RELEASE = "none" } = process.env;

const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://here");
    const words = pathname === "/healthz" ? "good" : `${GREETING} from release ${LANDFALL_RELEASE}`;
    response.setHeader("content-type", "text/plain; charset=utf-8");
    response.end(`${words}\n`);
});
// An NLB keeps an idle connection for 350 s; who closes it first may close it on a request.
server.keepAliveTimeout = 360_000;
server.listen(Number(PORT), HOST, () => console.log(`listening on ${HOST}:${PORT}`));

process.on("SIGTERM", () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
});
