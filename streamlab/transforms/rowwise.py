"""Polars' names, as its serialized plan has them, sorted by what they look at.

Written for the polars that pyproject.toml pins. A name that is in neither list proves
nothing: the function is then tested instead.

Source: https://docs.pola.rs/api/python/stable/reference/expressions/index.html, and
the plan that each of those methods gives.
"""

from __future__ import annotations

from collections.abc import Mapping


def _qualified(names: Mapping[str, str]) -> frozenset[str]:
    return frozenset(
        f"{namespace}.{name}" if namespace else name
        for namespace, listed in names.items()
        for name in listed.split()
    )


ROW_WISE = _qualified(
    {
        "": """
            Abs AsStruct Ceil Clip Coalesce Erf Erfc Exp FillNull Floor Log Log1p
            MaxHorizontal MeanHorizontal MinHorizontal Negate RepeatBy Replace
            ReplaceStrict Round RoundSF Sign SumHorizontal ToPhysical Truncate
        """,
        "Boolean": """
            AllHorizontal AnyHorizontal IsBetween IsClose IsFinite IsIn IsInfinite
            IsNan IsNotNan IsNotNull IsNull Not
        """,
        "Bitwise": """
            CountOnes CountZeros LeadingOnes LeadingZeros TrailingOnes TrailingZeros
        """,
        "Business": "AddBusinessDay IsBusinessDay",
        "Pow": "Cbrt Generic Sqrt",
        "Trigonometry": """
            ArcCos ArcCosh ArcSin ArcSinh ArcTan ArcTanh Cos Cosh Cot Degrees Radians
            Sin Sinh Tan Tanh
        """,
        "StringExpr": """
            Base64Decode Base64Encode ConcatHorizontal Contains ContainsAny
            CountMatches EndsWith EscapeRegex Extract ExtractAll ExtractGroups
            ExtractMany Find FindMany Format Head HexDecode HexEncode JsonDecode
            JsonPathMatch LenBytes LenChars Lowercase Normalize PadEnd PadStart Replace
            ReplaceMany Reverse Slice Split SplitExact SplitN StartsWith StripChars
            StripCharsEnd StripCharsStart StripPrefix StripSuffix Strptime Tail
            Titlecase ToDecimal ToInteger Uppercase ZFill
        """,
        "TemporalExpr": """
            BaseUtcOffset CastTimeUnit Century Combine ConvertTimeZone DSTOffset Date
            DatetimeFunction Day DaysInMonth Duration Hour IsLeapYear IsoYear
            Microsecond Millennium Millisecond Minute Month MonthEnd MonthStart
            Nanosecond OffsetBy OrdinalDay Quarter Replace ReplaceTimeZone Round Second
            Time TimeStamp ToString TotalDays TotalHours TotalMicroseconds
            TotalMilliseconds TotalMinutes TotalNanoseconds TotalSeconds Truncate Week
            WeekDay Year
        """,
        "ListExpr": """
            ArgMax ArgMin Concat Contains CountMatches Diff DropNulls Gather GatherEvery
            Get Join Length Max Mean Median Min Shift Slice Sort Std Sum
            ToArray ToStruct Var
        """,
        "ArrayExpr": """
            ArgMax ArgMin Contains CountMatches Dot Get Join Length Max Mean Median Min
            Shift Sort Std Sum ToList ToStruct Var
        """,
        "StructExpr": """
            Drop FieldByName JsonEncode PrefixFields RenameFields SelectFields
            SuffixFields
        """,
        "BinaryExpr": """
            Base64Decode Base64Encode Contains EndsWith Get Head HexDecode HexEncode
            Reinterpret Size Slice StartsWith Tail
        """,
        "Categorical": "EndsWith LenBytes LenChars Slice StartsWith",
    }
)
"""Functions whose value in a row depends on that row alone."""

ACROSS_ROWS = _qualified(
    {
        "": """
            Append ApproxNUnique ApproxQuantile ArgMax ArgMin ArgSort ArgUnique ArgWhere
            CumCount CumMax CumMin CumProd CumSum Diff Entropy EwmMean EwmMeanBy EwmStd
            EwmSum EwmSumBy EwmVar ExtendConstant GatherEvery Hist IndexOf Interpolate
            InterpolateBy Kurtosis MaxBy MinBy Mode NullCount PctChange PeakMax PeakMin
            Product QCut Quantile RLE RLEID Rank RollingExpr RollingExprBy SearchSorted
            Shift Skew TopK TopKBy Unique UniqueCounts ValueCounts
        """,
        "Boolean": """
            All Any HasNulls IsDuplicated IsEmpty IsFirstDistinct IsLastDistinct
            IsSorted IsUnique
        """,
        "Bitwise": "And Or Xor",
        "FillNullWithStrategy": "Backward Forward Max Mean Min",
        "StringExpr": "ConcatVertical",
    }
)
"""Functions whose value in a row depends on other rows."""

WRITTEN: Mapping[str, str] = {
    "FillNullWithStrategy": "forward_fill() or fill_null(strategy=…)",
    "RollingExpr": "rolling_mean() or the like",
    "RollingExprBy": "rolling_mean_by() or the like",
    "StringExpr.ConcatVertical": "str.join()",
    "Bitwise": "bitwise_and() or the like",
}
"""Functions that a user writes otherwise than polars' plan names them."""

ACROSS_EXPRESSIONS: Mapping[str, str] = {
    "Agg": "an aggregation",
    "Gather": "gather() or get()",
    "Len": "len()",
    "Over": "over()",
    "Rolling": "rolling()",
    "Slice": "head(), tail() or slice()",
    "Sort": "sort() of a column",
    "SortBy": "sort_by()",
}
"""Expressions that look at other rows, as a user writes them."""

ACROSS_NODES: Mapping[str, str] = {
    "Distinct": "unique()",
    "GroupBy": "group_by(), rolling() or group_by_dynamic()",
    "HConcat": "a horizontal concat()",
    "MergeSorted": "merge_sorted()",
    "Pivot": "pivot()",
    "RowIndex": "with_row_index()",
    "Slice": "head(), tail(), slice() or top_k()",
    "Stats": "an aggregation",
}
"""Steps of a query that look at other rows, as a user writes them."""

MAPPED_NODES = frozenset({"Explode", "FillNan", "Rename", "Unnest", "Unpivot"})
"""Steps that polars files under ``MapFunction`` and that look at one row."""

VALUE_SETS = frozenset(
    {
        "Boolean.IsIn",
        "Replace",
        "ReplaceStrict",
        "StringExpr.ContainsAny",
        "StringExpr.ExtractMany",
        "StringExpr.FindMany",
        "StringExpr.ReplaceMany",
    }
)
"""Functions that take a whole column as a set of values: a literal, or not row-wise."""
