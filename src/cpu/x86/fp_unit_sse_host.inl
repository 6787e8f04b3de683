// fp_unit_sse.hpp by the host's own SSE2 instructions. All are volatile: each depends on MXCSR and changes it, which
// the compiler does not know, and none may be moved past a change of the environment.

// One instruction on the blocks a (read and written) and b, by format; `name` lacks the suffix.
#define STRATA_SSE_ALL_FORMATS(name)                                                                                 \
    template <FpFormat format> inline Block name(Block a, Block b) {                                                 \
        if constexpr (format == FpFormat::ps) {                                                                      \
            asm volatile(#name "ps %1, %0" : "+x"(a) : "x"(b));                                                      \
        } else if constexpr (format == FpFormat::pd) {                                                               \
            asm volatile(#name "pd %1, %0" : "+x"(a) : "x"(b));                                                      \
        } else if constexpr (format == FpFormat::ss) {                                                               \
            asm volatile(#name "ss %1, %0" : "+x"(a) : "x"(b));                                                      \
        } else {                                                                                                     \
            asm volatile(#name "sd %1, %0" : "+x"(a) : "x"(b));                                                      \
        }                                                                                                            \
        return a;                                                                                                    \
    }

#define STRATA_SSE_SINGLE_FORMATS(name)                                                                              \
    template <FpFormat format> inline Block name(Block a, Block b) {                                                 \
        static_assert(!is_double(format));                                                                           \
        if constexpr (format == FpFormat::ps) {                                                                      \
            asm volatile(#name "ps %1, %0" : "+x"(a) : "x"(b));                                                      \
        } else {                                                                                                     \
            asm volatile(#name "ss %1, %0" : "+x"(a) : "x"(b));                                                      \
        }                                                                                                            \
        return a;                                                                                                    \
    }

#define STRATA_SSE_ORDER(name)                                                                                       \
    template <FpFormat format> inline Order name(Block a, Block b) {                                                 \
        static_assert(is_scalar(format));                                                                            \
        Order order;                                                                                                 \
        if constexpr (format == FpFormat::ss) {                                                                      \
            asm volatile(#name "ss %4, %3" : "=@ccz"(order.zf), "=@ccp"(order.pf), "=@ccc"(order.cf) : "x"(a), "x"(b)); \
        } else {                                                                                                     \
            asm volatile(#name "sd %4, %3" : "=@ccz"(order.zf), "=@ccp"(order.pf), "=@ccc"(order.cf) : "x"(a), "x"(b)); \
        }                                                                                                            \
        return order;                                                                                                \
    }

#define STRATA_SSE_CONVERT(name)                                                                                     \
    inline Block name(Block b) {                                                                                     \
        Block result;                                                                                                \
        asm volatile(#name " %1, %0" : "=x"(result) : "x"(b));                                                       \
        return result;                                                                                               \
    }

#define STRATA_SSE_CONVERT_LOW(name)                                                                                 \
    inline Block name(Block a, Block b) {                                                                            \
        asm volatile(#name " %1, %0" : "+x"(a) : "x"(b));                                                            \
        return a;                                                                                                    \
    }

// To an integer register; `name` lacks the width of the source.
#define STRATA_SSE_TO_INTEGER(function, name)                                                                        \
    template <FpFormat format, class Integer> inline Integer function(Block b) {                                     \
        static_assert(is_scalar(format));                                                                            \
        Integer result;                                                                                              \
        if constexpr (format == FpFormat::ss) {                                                                      \
            asm volatile(#name "ss2si %1, %0" : "=r"(result) : "x"(b));                                              \
        } else {                                                                                                     \
            asm volatile(#name "sd2si %1, %0" : "=r"(result) : "x"(b));                                              \
        }                                                                                                            \
        return result;                                                                                               \
    }

namespace strata::cpu::x86::sse_unit {

STRATA_SSE_ALL_FORMATS(add)
STRATA_SSE_ALL_FORMATS(sub)
STRATA_SSE_ALL_FORMATS(mul)
STRATA_SSE_ALL_FORMATS(div)
STRATA_SSE_ALL_FORMATS(min)
STRATA_SSE_ALL_FORMATS(max)
STRATA_SSE_ALL_FORMATS(sqrt)
STRATA_SSE_SINGLE_FORMATS(rcp)
STRATA_SSE_SINGLE_FORMATS(rsqrt)
STRATA_SSE_ORDER(comi)
STRATA_SSE_ORDER(ucomi)
STRATA_SSE_CONVERT(cvtdq2ps)
STRATA_SSE_CONVERT(cvtps2dq)
STRATA_SSE_CONVERT(cvttps2dq)
STRATA_SSE_CONVERT(cvtdq2pd)
STRATA_SSE_CONVERT(cvtpd2dq)
STRATA_SSE_CONVERT(cvttpd2dq)
STRATA_SSE_CONVERT(cvtps2pd)
STRATA_SSE_CONVERT(cvtpd2ps)
STRATA_SSE_CONVERT_LOW(cvtss2sd)
STRATA_SSE_CONVERT_LOW(cvtsd2ss)
STRATA_SSE_TO_INTEGER(to_integer, cvt)
STRATA_SSE_TO_INTEGER(truncate, cvtt)

template <FpFormat format, Compare predicate> inline Block cmp(Block a, Block b) {
    constexpr int code = static_cast<int>(predicate);
    if constexpr (format == FpFormat::ps) {
        asm volatile("cmpps %2, %1, %0" : "+x"(a) : "x"(b), "i"(code));
    } else if constexpr (format == FpFormat::pd) {
        asm volatile("cmppd %2, %1, %0" : "+x"(a) : "x"(b), "i"(code));
    } else if constexpr (format == FpFormat::ss) {
        asm volatile("cmpss %2, %1, %0" : "+x"(a) : "x"(b), "i"(code));
    } else {
        asm volatile("cmpsd %2, %1, %0" : "+x"(a) : "x"(b), "i"(code));
    }
    return a;
}

template <FpFormat format, class Integer> inline Block from_integer(Block a, Integer value) {
    static_assert(is_scalar(format));
    if constexpr (format == FpFormat::ss && sizeof(Integer) == 4) {
        asm volatile("cvtsi2ssl %1, %0" : "+x"(a) : "r"(value));
    } else if constexpr (format == FpFormat::ss) {
        asm volatile("cvtsi2ssq %1, %0" : "+x"(a) : "r"(value));
    } else if constexpr (sizeof(Integer) == 4) {
        asm volatile("cvtsi2sdl %1, %0" : "+x"(a) : "r"(value));
    } else {
        asm volatile("cvtsi2sdq %1, %0" : "+x"(a) : "r"(value));
    }
    return a;
}

// ---- fused multiply-add: SSE2 has none, so that the host is asked ----

inline const bool host_has_fma = __builtin_cpu_supports("fma");

// The 213 form: y = x * y + z, the first NaN of x, y, z.
#define STRATA_FMA(name)                                                                                             \
    if constexpr (format == FpFormat::ps) {                                                                          \
        asm volatile(#name "213ps %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));                                           \
    } else if constexpr (format == FpFormat::pd) {                                                                   \
        asm volatile(#name "213pd %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));                                           \
    } else if constexpr (format == FpFormat::ss) {                                                                   \
        asm volatile(#name "213ss %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));                                           \
    } else {                                                                                                         \
        asm volatile(#name "213sd %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));                                           \
    }
#define STRATA_FMA_PACKED(name)                                                                                      \
    if constexpr (format == FpFormat::ps) {                                                                          \
        asm volatile(#name "213ps %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));                                           \
    } else {                                                                                                         \
        asm volatile(#name "213pd %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));                                           \
    }

template <FpFormat format, Fused operation> inline Block fused_by_host(Block x, Block y, Block z) {
    if constexpr (operation == Fused::add) {
        STRATA_FMA(vfmadd)
    } else if constexpr (operation == Fused::sub) {
        STRATA_FMA(vfmsub)
    } else if constexpr (operation == Fused::negated_add) {
        STRATA_FMA(vfnmadd)
    } else if constexpr (operation == Fused::negated_sub) {
        STRATA_FMA(vfnmsub)
    } else if constexpr (operation == Fused::add_sub) {
        STRATA_FMA_PACKED(vfmaddsub)
    } else {
        STRATA_FMA_PACKED(vfmsubadd)
    }
    return y;
}

#undef STRATA_FMA
#undef STRATA_FMA_PACKED

template <FpFormat format, Fused operation> Block fused_by_software(Block x, Block y, Block z) {
    using Bits = FpBits<format>;
    const std::uint32_t mxcsr = sse_environment::read();
    Lanes<Bits> values{};
    std::uint32_t flags = 0;
    for (unsigned i = 0; i < (is_scalar(format) ? 1 : lane_count<Bits>); ++i) {
        const auto result = soft_float::fused_multiply_add<Bits>(lanes<Bits>(x)[i], lanes<Bits>(y)[i], lanes<Bits>(z)[i],
                                                                 fused_signs(operation, i), mxcsr);
        values[i] = result.value;
        flags |= result.flags;
    }
    sse_environment::raise(flags);
    return to_block(values);
}

template <FpFormat format, Fused operation> inline Block fused(Block x, Block y, Block z) {
    return host_has_fma ? fused_by_host<format, operation>(x, y, z) : fused_by_software<format, operation>(x, y, z);
}

} // namespace strata::cpu::x86::sse_unit

#undef STRATA_SSE_ALL_FORMATS
#undef STRATA_SSE_SINGLE_FORMATS
#undef STRATA_SSE_ORDER
#undef STRATA_SSE_CONVERT
#undef STRATA_SSE_CONVERT_LOW
#undef STRATA_SSE_TO_INTEGER
