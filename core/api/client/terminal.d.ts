/** The functions of terminals. This version of Berth has none: each throws. */
export interface Terminals {
  connect_terminal(...args: unknown[]): never;
  execute_terminal(...args: unknown[]): never;
  execute_terminal_stream(...args: unknown[]): never;
  execute_server_terminal(...args: unknown[]): never;
  execute_container_terminal(...args: unknown[]): never;
  execute_stack_service_terminal(...args: unknown[]): never;
  execute_deployment_terminal(...args: unknown[]): never;
  execute_container_exec(...args: unknown[]): never;
  execute_deployment_exec(...args: unknown[]): never;
  execute_stack_exec(...args: unknown[]): never;
}

export declare function terminals(client: unknown): Terminals;
