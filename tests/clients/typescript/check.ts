// What AIsuru's TypeScript does first: list the models, change one, publish it; and a refusal with its code.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Model = components["schemas"]["Model"];

const [baseUrl, token, organizationId] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

const listed = await client.GET("/api/v1/models", {
  params: { query: { organization_id: organizationId } },
});
const model: Model = listed.data!.results[0]!;
const path = { model_id: model.id };

const changed = await client.PATCH("/api/v1/models/{model_id}", {
  params: { path },
  body: { description: "Da TypeScript" },
});
const published = await client.POST("/api/v1/models/{model_id}/publish", {
  params: { path },
  body: { flavour: "custom_openai" },
});
const refused = await client.PATCH("/api/v1/models/{model_id}", {
  params: { path },
  body: { purposes: [] },
});

console.log(
  JSON.stringify({
    name: model.name,
    purposes: model.purposes,
    description: changed.data?.description,
    publication: published.data?.status,
    refused: refused.error?.code,
    pointer: refused.error?.errors[0]?.pointer,
  }),
);
