// What lib.js has. The requests, by name, are in responses.d.ts.
import type * as Types from "./types.js";
import type {
  ExecuteParams, ExecuteResponses, LoginParams, LoginResponses, ManageParams, ManageResponses,
  ReadParams, ReadResponses, WriteParams, WriteResponses,
} from "./responses.js";
import type { Terminals } from "./terminal.js";

export * as Types from "./types.js";
export type * from "./responses.js";

/** How a client signs in. */
export type InitOptions =
  | { type: "jwt"; params: { jwt: string } }
  | { type: "api-key"; params: { key: string; secret: string } };

/** What a request is refused with; status is 1 when core was not reached. */
export interface Refusal {
  status: number;
  result: { error: string; trace: string[] };
  error?: unknown;
}

/** Ends a subscription. */
export declare class CancelToken {
  cancelled: boolean;
  cancel(): void;
}

export interface UpdateSocket {
  on_update?(update: Types.UpdateListItem): void;
  on_login?(): void;
  on_open?(): void;
  on_close?(): void;
}

export interface UpdateSubscription extends UpdateSocket {
  retry?: boolean;
  retry_timeout_ms?: number;
  cancel?: CancelToken;
  on_cancel?(): void;
}

/** What a polled execution ends as: an Update, or one per resource of a batch. */
export type Polled<T> = T extends readonly (infer Item)[] ? (Types.Update | Item)[] : T;

export interface KomodoClient extends Terminals {
  auth: {
    login<T extends keyof LoginResponses>(type: T, params: LoginParams[T]): Promise<LoginResponses[T]>;
    manage<T extends keyof ManageResponses>(type: T, params: ManageParams[T]): Promise<ManageResponses[T]>;
  };
  /** Requests that change nothing. */
  read<T extends keyof ReadResponses>(type: T, params: ReadParams[T]): Promise<ReadResponses[T]>;
  /** Requests that change what is declared. */
  write<T extends keyof WriteResponses>(type: T, params: WriteParams[T]): Promise<WriteResponses[T]>;
  /** Starts something; the answer does not wait for its end. */
  execute<T extends keyof ExecuteResponses>(type: T, params: ExecuteParams[T]): Promise<ExecuteResponses[T]>;
  /** Starts something and waits for its end. */
  execute_and_poll<T extends keyof ExecuteResponses>(type: T, params: ExecuteParams[T]): Promise<Polled<ExecuteResponses[T]>>;
  poll_update_until_complete(id: string): Promise<Types.Update>;
  core_version(): Promise<string>;
  getUser(): Promise<Types.User>;
  /** Hears of every run that is created or changes; the login is sent when it opens. */
  get_update_websocket(handlers?: UpdateSocket): WebSocket;
  /** The same, connecting again until it is cancelled. */
  subscribe_to_update_websocket(handlers?: UpdateSubscription): Promise<void>;
}

export declare const KomodoClient: {
  (url: string, login: InitOptions): KomodoClient;
  new (url: string, login: InitOptions): KomodoClient;
};
