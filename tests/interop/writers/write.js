// Node's writers over source lines on stdin: node write.js FOLDER
const fs = require("fs");
const out = process.argv[2];
const docs = fs.readFileSync(0, "utf8").trimEnd().split("\n").map((l) => JSON.parse(l));
for (const d of docs) d.at = new Date(d.at / 1000).toISOString();
const save = (name, text) => fs.writeFileSync(`${out}/node-${name}.json`, text);
save("stringify", docs.map((d) => JSON.stringify(d) + "\n").join(""));
save("indent", docs.map((d) => JSON.stringify(d, null, 2) + "\n").join(""));
save("tabs", docs.map((d) => JSON.stringify(d, null, "\t") + "\n").join(""));
save("indent-array", JSON.stringify(docs, null, 2));
