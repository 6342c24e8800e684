// Starts GraphiQL on the page that serves it. What it needs to know stands in the page's data attributes.
"use strict";

const place = document.getElementById("graphiql");
const { endpoint, operations } = place.dataset;

const http = new URL(endpoint, location.href);
const webSocket = new URL(http);
webSocket.protocol = http.protocol === "https:" ? "wss:" : "ws:";

// A link may bring an operation along: #query=…&variables=… (JSON). A fragment never reaches the server or its logs.
const link = new URLSearchParams(location.hash.slice(1));

const fetcher = GraphiQL.createFetcher({
  url: http.href,
  subscriptionUrl: webSocket.href, // over graphql-transport-ws
  enableIncrementalDelivery: false, // the server has neither @defer nor @stream
  headers: { Accept: "application/graphql-response+json, application/json;q=0.9" },
});

const explorer = GraphiQLPluginExplorer.explorerPlugin();

ReactDOM.createRoot(place).render(
  React.createElement(
    GraphiQL,
    {
      fetcher,
      defaultQuery: operations,
      query: link.get("query") ?? undefined,
      variables: link.get("variables") ?? undefined,
      plugins: [explorer],
      defaultEditorToolsVisibility: "variables",
      isHeadersEditorEnabled: true,
      shouldPersistHeaders: false, // they may hold a secret
      inputValueDeprecation: true,
      schemaDescription: true,
    },
    React.createElement(GraphiQL.Logo, null, "Tunegraph"),
  ),
);
