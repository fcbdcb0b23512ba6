import type { ControlProps } from "./field.tsx";
import { StarRow, starsInWords } from "./stars.tsx";

/** Takes a rating from one to five stars in halves, by pointer, finger or arrow keys. */
export function StarInput({ control, halfStars, onChange }: StarInputProps) {
  return (
    <div className="star-input">
      <div className="star-input-drawing">
        <StarRow halfStars={halfStars} />
        {/* It lies over the stars from the end of the first, its lowest value, to the end of the last. */}
        <input
          {...control}
          type="range"
          min={2}
          max={10}
          step={1}
          value={halfStars}
          aria-valuetext={starsInWords(halfStars)}
          onChange={(event) => onChange(event.target.valueAsNumber)}
        />
      </div>
      {/* Who hears the page has heard it from the control. */}
      <span aria-hidden="true">{starsInWords(halfStars)}</span>
    </div>
  );
}

interface StarInputProps {
  readonly control: ControlProps;
  readonly halfStars: number;
  readonly onChange: (halfStars: number) => void;
}
