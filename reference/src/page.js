// The page: logging in for a token that is kept in a variable, Swagger UI over /openapi.json, and each call as curl
// and Python.
import { callOf, curlSample, pythonSample } from "./samples.js";

/** What the project's place in a path holds until a call is run: then the log-in's project takes it. */
const PROJECT = "{project_id}";
const endpoint = location.origin;
/** `{token, project, name}` of the log-in; nowhere else. */
let login = null;

const state = document.getElementById("state");
const forms = [document.getElementById("login"), document.getElementById("paste")];
const logout = document.getElementById("logout");

function say(text) {
  state.textContent = text;
}

function use(next) {
  login = next;
  for (const form of forms) {
    form.hidden = login !== null;
    form.reset();
  }
  logout.hidden = login === null;
  say(login ? `Logged in: ${login.name}, project ${login.project}` : "Not logged in: calls can be read and copied, not run.");
}

async function token(identity, scope) {
  const answer = await fetch("/v3/auth/tokens", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ auth: { identity, scope } }),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error?.message ?? body.error_msg ?? `the server answers ${answer.status}`);
  return { text: answer.headers.get("x-subject-token"), project: body.token.project };
}

async function logIn(fields) {
  const domain = { name: fields.get("domain") };
  const user = { name: fields.get("user"), password: fields.get("password"), domain };
  const identity = { methods: ["password"], password: { user } };
  let project = fields.get("project");
  if (!project) {
    const wide = await token(identity, { domain });
    const answer = await fetch("/v3/projects", { headers: { "x-auth-token": wide.text } });
    project = (await answer.json()).projects?.[0]?.name;
    if (!project) throw new Error("there is no project this user may enter");
  }
  const scoped = await token(identity, { project: { name: project, domain } });
  use({ token: scoped.text, project: scoped.project.id, name: user.name });
}

forms[0].addEventListener("submit", (event) => {
  event.preventDefault();
  say("Logging in …");
  logIn(new FormData(forms[0])).catch((error) => say(`Not logged in: ${error.message}`));
});
forms[1].addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = new FormData(forms[1]);
  use({ token: fields.get("token"), project: fields.get("project"), name: "by token" });
});
logout.addEventListener("click", () => use(null));

/** Shows curl and Python above the answers of an operation, and keeps them in step with what is typed. */
function Samples(system) {
  const { createElement: element, useEffect, useReducer } = system.React;
  return function ({ path, method }) {
    const [, again] = useReducer((count) => count + 1, 0);
    useEffect(() => system.getStore().subscribe(again), []);
    const json = system.specSelectors.specJson().toJS();
    const operation = json.paths?.[path]?.[method];
    if (!operation) return null;
    const values = {};
    for (const parameter of operation.parameters ?? []) {
      const typed = system.specSelectors.parameterWithMetaByIdentity([path, method], system.Im.fromJS(parameter))?.get("value");
      const value = typed?.toJS ? typed.toJS() : typed;
      if (value === undefined || value === "" || (Array.isArray(value) && value.length === 0)) continue;
      values[parameter.name] = value;
    }
    if (login) values.project_id = login.project;
    else if (values.project_id === PROJECT) delete values.project_id;
    let body;
    try {
      body = JSON.parse(system.oas3Selectors.requestBodyValue(path, method));
    } catch {
      // Nothing typed yet, or half of it: the example stands.
    }
    const call = callOf(json, path, method, operation, endpoint, values, body);
    const block = (title, name, text) => [
      element("h4", { key: `${name}-title` }, title),
      element("pre", { key: name, className: name }, text),
    ];
    return element("div", { className: "samples" }, block("curl", "sample-curl", curlSample(call)), block("Python SDK", "sample-python", pythonSample(call)));
  };
}

const samples = (system) => ({
  wrapComponents: {
    responses: (Original) => {
      const Shown = Samples({ ...system, ...system.getSystem(), React: system.React });
      return (props) => system.React.createElement(
        system.React.Fragment,
        null,
        system.React.createElement(Shown, { path: props.path, method: props.method }),
        system.React.createElement(Original, props),
      );
    },
  },
});

function prepared(document) {
  document.servers = [{ url: endpoint }];
  for (const methods of Object.values(document.paths)) {
    for (const operation of Object.values(methods)) {
      for (const parameter of operation.parameters ?? []) {
        if (parameter.in === "path" && parameter.name === "project_id") {
          parameter.description = "Left as it is: the project of the log-in.";
          parameter.schema = { ...parameter.schema, default: PROJECT };
        }
      }
    }
  }
  return document;
}

const answer = await fetch("/openapi.json");
window.ui = window.SwaggerUIBundle({
  spec: prepared(await answer.json()),
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  plugins: [samples],
  requestInterceptor: (request) => {
    if (login) {
      request.headers["X-Auth-Token"] = login.token;
      request.url = request.url.replaceAll(encodeURIComponent(PROJECT), login.project).replaceAll(PROJECT, login.project);
    }
    return request;
  },
});
