// The functions of terminals. Core does not serve those yet: each says so.
const names = [
  "connect_terminal", "execute_terminal", "execute_terminal_stream", "execute_server_terminal", "execute_container_terminal",
  "execute_stack_service_terminal", "execute_deployment_terminal", "execute_container_exec", "execute_deployment_exec", "execute_stack_exec",
];

export const terminals = () =>
  Object.fromEntries(names.map((name) => [name, () => { throw new Error(`${name}: this version of Berth has no terminals`); }]));
