package script

// Starter is the script of an action that was made without one.
const Starter = `// This script runs inside Berth core: no files, no network, only the API.
// komodo.read, komodo.write, komodo.execute and komodo.execute_and_poll make its
// requests; ARGS holds the arguments; console writes to the output of the run.

const stacks = await komodo.read("ListStacks", {});

for (const stack of stacks) {
  console.log(stack.name, "is", stack.info.state);
}

// const update = await komodo.execute_and_poll("DeployStack", { stack: "my-stack" });
// console.log("deployed:", update.success);
`
