// Reads a .drawio file with mxGraph itself (npm: mxgraph 4.2.2 and jsdom, in the current folder) and
// prints its cells and the points of its edges on the page as mxGraph computes them, as JSON.
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");
const load = createRequire(path.join(process.cwd(), "here.js"));

const dom = new (load("jsdom").JSDOM)("<html><body></body></html>");
global.window = dom.window;
for (const name of ["document", "XMLSerializer", "DOMParser", "Node", "Element", "Image"]) {
  global[name] = dom.window[name];
}
Object.defineProperty(global, "navigator", { value: dom.window.navigator, configurable: true });
const mx = load("mxgraph")({ mxLoadResources: false, mxLoadStylesheets: false });
Object.assign(global, mx);
Object.assign(dom.window, mx);

const document_ = mx.mxUtils.parseXml(fs.readFileSync(process.argv[2], "utf8"));
const model = new mx.mxGraphModel();
const graph = new mx.mxGraph(null, model);
new mx.mxCodec(document_).decode(document_.getElementsByTagName("mxGraphModel")[0], model);
graph.view.validate();
const edges = {};
for (const cell of Object.values(model.cells)) {
  if (!cell.edge) continue;
  edges[cell.id] = graph.view.getState(cell).absolutePoints.map((point) => [point.x, point.y]);
}
console.log(JSON.stringify({ cells: Object.keys(model.cells), edges }));
