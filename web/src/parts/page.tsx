import { type ReactNode, useEffect, useRef } from "react";

// A page that was just loaded begins at its top, where the browser and screen readers are; one that was gone to does not.
let isFirst = true;

/** What a path shows: names the document, and takes the focus to its heading when it was gone to. */
export function Page({ title, heading, children }: PageProps) {
  const top = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Weft`;
  }, [title]);
  useEffect(() => {
    if (!isFirst) {
      scrollTo(0, 0);
      top.current?.focus();
    }
    isFirst = false;
  }, []);
  return (
    <>
      <h1 ref={top} tabIndex={-1}>
        {heading ?? title}
      </h1>
      {children}
    </>
  );
}

interface PageProps {
  readonly title: string;
  /** Defaults to the title. */
  readonly heading?: ReactNode;
  readonly children: ReactNode;
}
