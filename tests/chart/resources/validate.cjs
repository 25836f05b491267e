// Reads a list of resources of the Prometheus operator; prints a list of what is wrong with them.
// Usage: node validate.cjs FOLDER-OF-THE-PACKAGE < resources.json
const path = require("node:path");
const kinds = {};
for (const version of ["v1"]) {
  kinds[`monitoring.coreos.com/${version}`] = require(path.join(process.argv[2], "monitoring.coreos.com", version));
}
const wrong = [];
for (const resource of JSON.parse(require("node:fs").readFileSync(0, "utf8"))) {
  try {
    new kinds[resource.apiVersion][resource.kind](resource).validate();
  } catch (error) {
    wrong.push(`${resource.kind} ${resource.metadata?.name}: ${error.message}`);
  }
}
console.log(JSON.stringify(wrong));
