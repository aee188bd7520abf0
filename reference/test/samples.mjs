// Prints the curl and Python sample of every operation of a document as JSON.
//
// node test/samples.mjs ENDPOINT < openapi.json
import { readFileSync } from "node:fs";
import { callsOf, curlSample, pythonSample } from "../src/samples.js";

const [endpoint] = process.argv.slice(2);
const document = JSON.parse(readFileSync(0, "utf8"));
const samples = callsOf(document, endpoint).map((call) => ({
  operation: call.operationId,
  path: call.path,
  curl: curlSample(call),
  python: pythonSample(call),
}));
process.stdout.write(JSON.stringify(samples));
