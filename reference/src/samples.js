// One call as a curl command and as Python. Pure: text in, text out, so that tests can run every sample.

/** What stands for a value that the reader has to fill in. */
const placeholder = (name) => `{${name}}`;

/** `ListUsersOfGroup` as the SDK spells its method: `list_users_of_group`. */
export function methodName(operationId) {
  return operationId
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1_$2")
    .toLowerCase();
}

/** Whether the vendor's SDK has the call: the contract's own paths. */
function inSdk(call) {
  return call.path.startsWith("/v1/") || call.path.startsWith("/v2/");
}

const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The address of the call with the values that are known. */
function address(call) {
  const value = (parameter) => parameter.value ?? placeholder(parameter.name);
  let path = call.path;
  const query = [];
  for (const parameter of call.parameters) {
    if (parameter.in === "path") {
      const given = parameter.value;
      path = path.replace(placeholder(parameter.name), given === undefined ? placeholder(parameter.name) : encodeURIComponent(given));
    } else if (parameter.in === "query" && parameter.value !== undefined) {
      for (const one of [value(parameter)].flat()) {
        query.push(`${encodeURIComponent(parameter.name)}=${encodeURIComponent(one)}`);
      }
    }
  }
  return call.endpoint + path + (query.length ? `?${query.join("&")}` : "");
}

/**
 * A call as a curl command. The token is taken from the environment: a sample is copied, and must not carry one.
 *
 * @param call `{method, path, operationId, parameters: [{name, in, value}], body, needsToken, endpoint}`
 */
export function curlSample(call) {
  const parts = [`curl ${call.method === "GET" ? "" : `-X ${call.method} `}${shellQuoted(address(call))}`];
  if (call.needsToken) parts.push('-H "X-Auth-Token: $OUTFITTER_TOKEN"');
  if (call.body !== undefined) {
    parts.push("-H 'Content-Type: application/json'");
    parts.push(`-d ${shellQuoted(JSON.stringify(call.body))}`);
  }
  return parts.join(" \\\n  ");
}

/** A JSON value as Python writes it. */
export function pythonValue(value, indent = "") {
  const deeper = `${indent}    `;
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((one) => `${deeper}${pythonValue(one, deeper)},\n`).join("")}${indent}]`;
  }
  const members = Object.entries(value);
  if (members.length === 0) return "{}";
  return `{\n${members.map(([name, one]) => `${deeper}${JSON.stringify(name)}: ${pythonValue(one, deeper)},\n`).join("")}${indent}}`;
}

/** A call with the vendor's Python SDK; one that is ours alone with `requests`. */
export function pythonSample(call) {
  return inSdk(call) ? sdkSample(call) : requestsSample(call);
}

function sdkSample(call) {
  const lines = [
    "import os",
    "",
    "from huaweicloudsdkcore.auth.credentials import BasicCredentials",
    "from huaweicloudsdkworkspace.v2 import *",
    "",
    "credentials = BasicCredentials(",
    '    os.environ["OUTFITTER_ACCESS_KEY"], os.environ["OUTFITTER_SECRET_KEY"], os.environ["OUTFITTER_PROJECT_ID"]',
    ")",
    "client = (",
    "    WorkspaceClient.new_builder()",
    "    .with_credentials(credentials)",
    `    .with_endpoint(${JSON.stringify(call.endpoint)})`,
    "    .build()",
    ")",
    "",
    `request = ${call.operationId}Request()`,
  ];
  for (const parameter of call.parameters) {
    if (parameter.name === "project_id" || !["path", "query"].includes(parameter.in)) continue;
    if (parameter.value === undefined && parameter.in === "query") continue;
    lines.push(`request.${parameter.name} = ${pythonValue(parameter.value ?? placeholder(parameter.name))}`);
  }
  if (call.body !== undefined) lines.push(`request.body = ${pythonValue(call.body)}`);
  lines.push(`print(client.${methodName(call.operationId)}(request))`);
  return lines.join("\n");
}

function requestsSample(call) {
  const lines = ["import os", "", "import requests", "", "answer = requests.request(", `    ${JSON.stringify(call.method)},`, `    ${JSON.stringify(address(call))},`];
  if (call.needsToken) lines.push('    headers={"X-Auth-Token": os.environ["OUTFITTER_TOKEN"]},');
  if (call.body !== undefined) lines.push(`    json=${pythonValue(call.body, "    ")},`);
  lines.push(")", "answer.raise_for_status()", "print(answer.text)");
  return lines.join("\n");
}

/** A body for the sample: the document's example, else one made of the required members. */
export function exampleOf(schema, document, depth = 0) {
  if (!schema || depth > 6) return null;
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return exampleOf(document.components?.schemas?.[name], document, depth + 1);
  }
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choice = (schema.oneOf ?? schema.anyOf)?.find((one) => one.type !== "null");
  if (choice) return exampleOf(choice, document, depth + 1);
  if (schema.allOf && !schema.properties) return exampleOf(schema.allOf[0], document, depth + 1);
  const type = [schema.type].flat().find((one) => one !== "null");
  switch (type) {
    case "array":
      return [exampleOf(schema.items, document, depth + 1)];
    case "boolean":
      return true;
    case "integer":
    case "number":
      return schema.minimum ?? 0;
    case "string":
      return "string";
    default: {
      const body = {};
      const required = schema.required ?? [];
      const wanted = required.length ? required : Object.keys(schema.properties ?? {}).slice(0, 3);
      for (const name of wanted) body[name] = exampleOf(schema.properties?.[name], document, depth + 1);
      return body;
    }
  }
}

/** Every operation of a document as a call with nothing filled in but what has an example. */
export function callsOf(document, endpoint) {
  const calls = [];
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (operation.operationId === undefined) continue;
      calls.push(callOf(document, path, method, operation, endpoint));
    }
  }
  return calls;
}

/** One operation as a call; `values` are those that the reader typed, by `name`. */
export function callOf(document, path, method, operation, endpoint, values = {}, body = undefined) {
  const schema = operation.requestBody?.content?.["application/json"]?.schema;
  return {
    method: method.toUpperCase(),
    path,
    operationId: operation.operationId,
    parameters: (operation.parameters ?? []).map((parameter) => ({
      name: parameter.name,
      in: parameter.in,
      value: values[parameter.name],
    })),
    body: body ?? (schema ? exampleOf(schema, document) : undefined),
    needsToken: !(Array.isArray(operation.security) && operation.security.length === 0),
    endpoint,
  };
}
