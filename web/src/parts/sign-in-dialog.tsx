import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { useTransport } from "@connectrpc/connect-query";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { v7 as uuid } from "uuid";
import { CustomerService } from "../../../gen/shop/customer/v1/customer_service_pb.ts";
import { problemOf } from "../calls/problem.ts";
import { type Session, type SessionStore, subjectOf } from "../session.ts";
import { useShop } from "../shop.ts";
import { useStore } from "../store.ts";
import { Field, useFocusOnRefusal } from "./field.tsx";
import { Notice } from "./notice.tsx";

/** Asks the customer to sign in, or to make an account, above whatever page needs it: nothing of that page is lost. */
export function SignInDialog() {
  const { signIn } = useShop();
  const isOpen = useStore(signIn.isOpen);
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  return (
    <dialog ref={dialog} aria-labelledby={titleId} onCancel={() => signIn.answer(undefined)}>
      {isOpen && <SignInForm titleId={titleId} />}
    </dialog>
  );
}

interface Entered {
  readonly isNew: boolean;
  readonly email: string;
  readonly displayName: string;
  readonly password: string;
}

function SignInForm({ titleId }: { readonly titleId: string }) {
  const { signIn, session } = useShop();
  const transport = useTransport();
  const customers = useMemo(() => createClient(CustomerService, transport), [transport]);
  const queries = useQueryClient();
  const form = useRef<HTMLFormElement>(null);
  const before = session.get();
  const [isNew, setNew] = useState(false);
  // One for each account that is tried to be made: who tries the same again makes no second one.
  const [requestId, setRequestId] = useState(() => uuid());

  const entering = useMutation({
    mutationFn: (entered: Entered) => enter(customers, entered, requestId),
    onSuccess(begun) {
      if (before && before.customerId !== begun.customerId) queries.clear();
      session.set(begun);
      signIn.answer(begun.accessToken);
      void learnName(customers, session);
    },
  });
  useFocusOnRefusal(form, entering.error);
  const problem = entering.error ? problemOf(entering.error) : undefined;
  const isTaken = problem?.reason === "EMAIL_TAKEN";

  function submit(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    const entered = new FormData(event.currentTarget);
    const text = (name: string) => String(entered.get(name) ?? "");
    entering.mutate({
      isNew,
      email: text("email"),
      displayName: text("displayName"),
      password: text("password"),
    });
  }

  return (
    <form ref={form} className="sheet" noValidate onSubmit={submit} onChange={() => setRequestId(uuid())}>
      <h2 id={titleId}>{isNew ? "Make an account" : "Sign in"}</h2>
      {before && !isNew && <p>Your session has ended. Sign in again, and you go on where you were.</p>}
      {problem && problem.fields.size === 0 && !isTaken && (
        <Notice tone="error">
          <p>{problem.text}</p>
        </Notice>
      )}
      <Field label="E-mail" problem={isTaken ? problem.text : problem?.fields.get("email")}>
        {(control) => <input {...control} name="email" type="email" autoComplete="username" required />}
      </Field>
      {isNew && (
        <Field label="Name" problem={problem?.fields.get("display_name")}>
          {(control) => <input {...control} name="displayName" autoComplete="name" required />}
        </Field>
      )}
      <Field
        label="Password"
        hint={isNew ? "8 characters or more." : undefined}
        problem={problem?.fields.get("password")}
      >
        {(control) => (
          <input
            {...control}
            name="password"
            type="password"
            autoComplete={isNew ? "new-password" : "current-password"}
            required
          />
        )}
      </Field>
      <div className="actions">
        <button type="submit" disabled={entering.isPending}>
          {isNew ? "Make the account" : "Sign in"}
        </button>
        <button type="button" className="quiet" onClick={() => signIn.answer(undefined)}>
          Not now
        </button>
      </div>
      <p className="hint">
        {isNew ? "You have an account?" : "New here?"}{" "}
        <button
          type="button"
          className="link"
          onClick={() => {
            entering.reset();
            setNew(!isNew);
          }}
        >
          {isNew ? "Sign in" : "Make an account"}
        </button>
      </p>
    </form>
  );
}

async function enter(
  customers: Client<typeof CustomerService>,
  { isNew, email, displayName, password }: Entered,
  requestId: string,
): Promise<Session> {
  if (isNew) await customers.createCustomer({ email, displayName, password, requestId });
  const { accessToken, expireTime } = await customers.signIn({ email, password });
  const endsAtMs = expireTime ? timestampMs(expireTime) : 0;
  return { customerId: subjectOf(accessToken), name: displayName || email, accessToken, endsAtMs };
}

/** Puts the customer's name in the place of the address. Without it the address stays: a nicety, not worth an error. */
async function learnName(customers: Client<typeof CustomerService>, session: SessionStore): Promise<void> {
  const begun = session.get();
  if (!begun) return;
  const { customer } = await customers
    .getCustomer({ customerId: begun.customerId })
    .catch(() => ({}) as never);
  const present = session.get();
  if (customer?.displayName && present?.customerId === begun.customerId)
    session.set({ ...present, name: customer.displayName });
}
