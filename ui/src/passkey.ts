// Passkeys: the browser's half of signing in with one and of making one. A form
// that says data-passkey hands its options to the browser, and posts the answer.

const bytes = (text: string): ArrayBuffer => {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0)).buffer;
};

const text = (b: ArrayBuffer | null): string | undefined => {
  if (!b) return undefined;
  let s = "";
  for (const x of new Uint8Array(b)) s += String.fromCharCode(x);
  return btoa(s).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
};

type Listed = { id: string; type: PublicKeyCredentialType };
const list = (l?: Listed[]) => l?.map((c) => ({ ...c, id: bytes(c.id) }));

async function show(kind: string, options: any): Promise<PublicKeyCredential> {
  const o = options.publicKey;
  const publicKey = { ...o, challenge: bytes(o.challenge) };
  if (kind === "create") {
    publicKey.user = { ...o.user, id: bytes(o.user.id) };
    publicKey.excludeCredentials = list(o.excludeCredentials);
    return (await navigator.credentials.create({ publicKey })) as PublicKeyCredential;
  }
  publicKey.allowCredentials = list(o.allowCredentials);
  return (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
}

function answer(c: PublicKeyCredential): string {
  const r = c.response as AuthenticatorAttestationResponse & AuthenticatorAssertionResponse;
  return JSON.stringify({
    id: c.id, rawId: text(c.rawId), type: c.type, clientExtensionResults: c.getClientExtensionResults(),
    authenticatorAttachment: c.authenticatorAttachment ?? undefined,
    response: {
      clientDataJSON: text(r.clientDataJSON), attestationObject: text(r.attestationObject ?? null),
      transports: r.getTransports?.(), authenticatorData: text(r.attestationObject ? null : r.authenticatorData ?? null),
      signature: text(r.signature ?? null), userHandle: text(r.userHandle ?? null),
    },
  });
}

document.addEventListener("submit", async (e) => {
  const f = e.target as HTMLFormElement;
  const kind = f.dataset.passkey, field = f.elements.namedItem("passkey") as HTMLInputElement;
  if (!kind || field.value) return;
  e.preventDefault();
  const problem = f.querySelector<HTMLElement>(".formerr");
  try {
    if (!window.PublicKeyCredential) throw new Error("This browser uses passkeys over HTTPS only, or not at all.");
    field.value = answer(await show(kind, JSON.parse(f.dataset.options!)));
    f.submit();
  } catch (err) {
    if (problem) { problem.textContent = (err as Error).message; problem.hidden = false; }
  }
});
