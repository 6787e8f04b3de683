#include "encoder.hpp"

#include "values.hpp"

namespace strata::oracle {

namespace {

constexpr std::uint8_t sib_follows = 4;

std::uint8_t modrm_byte(unsigned mod, unsigned reg, unsigned rm) {
    return static_cast<std::uint8_t>(mod << 6 | (reg & 7) << 3 | (rm & 7));
}

// REX or VEX extension bits, and the register that only VEX has.
struct Extensions {
    bool r = false, x = false, b = false;
    unsigned vvvv = 0;
    bool short_vex = false; // two bytes if they are enough
};

void put_vex(CodeBytes& bytes, const Encoding& encoding, const Extensions& e) {
    const auto inverted = [](bool bit, unsigned place) { return bit ? 0U : 1U << place; };
    const unsigned pp = encoding.operand_size     ? 1
                        : encoding.repeat == 0xF3 ? 2
                        : encoding.repeat == 0xF2 ? 3
                                                  : 0;
    const unsigned low = (~e.vvvv & 15) << 3 | (encoding.wide ? 4U : 0U) | pp;
    if (e.short_vex && encoding.map == OpcodeMap::escape_0f && !encoding.w && !e.x && !e.b) {
        bytes.push(0xC5);
        bytes.push(static_cast<std::uint8_t>(inverted(e.r, 7) | low));
        return;
    }
    bytes.push(0xC4);
    bytes.push(static_cast<std::uint8_t>(inverted(e.r, 7) | inverted(e.x, 6) | inverted(e.b, 5) |
                                         static_cast<unsigned>(encoding.map)));
    bytes.push(static_cast<std::uint8_t>((encoding.w ? 0x80U : 0U) | low));
}

void put_rex_and_escape(CodeBytes& bytes, const Encoding& encoding, const Extensions& e, bool rex) {
    if (rex) {
        bytes.push(static_cast<std::uint8_t>(0x40U | (encoding.w ? 8U : 0U) | (e.r ? 4U : 0U) |
                                             (e.x ? 2U : 0U) | (e.b ? 1U : 0U)));
    }
    switch (encoding.map) {
    case OpcodeMap::one_byte: break;
    case OpcodeMap::escape_0f: bytes.push(0x0F); break;
    case OpcodeMap::escape_0f38:
        bytes.push(0x0F);
        bytes.push(0x38);
        break;
    case OpcodeMap::escape_0f3a:
        bytes.push(0x0F);
        bytes.push(0x3A);
        break;
    case OpcodeMap::three_d_now:
        bytes.push(0x0F);
        bytes.push(0x0F);
        break;
    }
}

void put_mandatory_prefixes(CodeBytes& bytes, const Encoding& encoding) {
    if (encoding.operand_size) {
        bytes.push(0x66);
    }
    if (encoding.repeat != 0) {
        bytes.push(encoding.repeat);
    }
}

void put_displacement(CodeBytes& bytes, unsigned size, Random& random) {
    // Small ones mostly, so that a base near its target wraps around seldom; but any must work.
    const std::uint64_t value =
        random.chance(70) ? static_cast<std::uint64_t>(random.between(-128, 127)) : integer_value(random);
    for (unsigned i = 0; i < size; ++i) {
        bytes.push(static_cast<std::uint8_t>(value >> (8 * i)));
    }
}

void put_memory_operand16(CodeBytes& bytes, unsigned reg, Random& random) {
    const auto mod = static_cast<unsigned>(random.below(3)), rm = static_cast<unsigned>(random.below(8));
    bytes.push(modrm_byte(mod, reg, rm));
    put_displacement(bytes, mod == 0 ? (rm == 6 ? 2 : 0) : mod, random);
}

void put_memory_operand(CodeBytes& bytes, unsigned reg, Random& random) {
    const auto mod = static_cast<unsigned>(random.below(3)), rm = static_cast<unsigned>(random.below(8));
    bytes.push(modrm_byte(mod, reg, rm));
    unsigned displacement = mod == 1 ? 1 : mod == 2 || rm == 5 ? 4 : 0;
    if (rm == sib_follows) {
        const auto sib = static_cast<std::uint8_t>(random.next());
        bytes.push(sib);
        if (mod == 0 && (sib & 7) == 5) {
            displacement = 4;
        }
    }
    put_displacement(bytes, displacement, random);
}

void put_random_prefixes(CodeBytes& bytes, const Encoding& encoding, unsigned& address_width,
                         Random& random) {
    constexpr std::array<std::uint8_t, 6> segments{0x64, 0x65, 0x26, 0x2E, 0x36, 0x3E};
    if (random.chance(10)) {
        bytes.push(random.chance(70) ? segments[random.below(2)] : random.pick(segments));
    }
    if (random.chance(8)) {
        bytes.push(0x67);
        address_width = address_width == 32 ? 16 : 32;
    }
    if (random.chance(encoding.memory ? 10 : 1)) {
        bytes.push(0xF0);
    }
}

} // namespace

CodeBytes encode_plainly(const Encoding& encoding, unsigned width) {
    CodeBytes bytes;
    if (encoding.vex) {
        put_vex(bytes, encoding, {});
    } else {
        put_mandatory_prefixes(bytes, encoding);
        put_rex_and_escape(bytes, encoding, {}, encoding.w);
    }
    if (encoding.map != OpcodeMap::three_d_now) {
        bytes.push(encoding.opcode);
    }
    if (encoding.has_modrm) {
        if (!encoding.memory) {
            bytes.push(modrm_byte(3, encoding.reg, encoding.rm));
        } else if (width == 16) {
            bytes.push(modrm_byte(0, encoding.reg, 0));
        } else {
            constexpr std::uint8_t rcx_rbx = 0x0B; // SIB: [rbx+rcx]; vector index too
            bytes.push(modrm_byte(0, encoding.reg, sib_follows));
            bytes.push(rcx_rbx);
        }
    }
    if (encoding.map == OpcodeMap::three_d_now) {
        bytes.push(encoding.opcode);
    }
    return bytes;
}

CodeBytes encode_randomly(const Encoding& encoding, unsigned width, Random& random) {
    CodeBytes bytes;
    unsigned address_width = width;
    put_random_prefixes(bytes, encoding, address_width, random);
    Extensions e;
    if (width == 64 && random.chance(50)) {
        const std::uint64_t bits = random.next();
        e.r = bits & 1;
        e.x = bits & 2;
        e.b = bits & 4;
    }
    if (encoding.vex) {
        e.vvvv = random.chance(50) ? 0 : static_cast<unsigned>(random.below(width == 64 ? 16 : 8));
        e.short_vex = random.chance(50);
        put_vex(bytes, encoding, e);
    } else {
        put_mandatory_prefixes(bytes, encoding);
        put_rex_and_escape(bytes, encoding, e,
                           width == 64 && (encoding.w || e.r || e.x || e.b || random.chance(5)));
    }
    if (encoding.map != OpcodeMap::three_d_now) {
        bytes.push(encoding.opcode);
    }
    if (encoding.has_modrm) {
        if (!encoding.memory) {
            const unsigned rm = encoding.fixed_rm ? encoding.rm : static_cast<unsigned>(random.below(8));
            bytes.push(modrm_byte(3, encoding.reg, rm));
        } else if (address_width == 16) {
            put_memory_operand16(bytes, encoding.reg, random);
        } else {
            put_memory_operand(bytes, encoding.reg, random);
        }
    }
    if (encoding.map == OpcodeMap::three_d_now) {
        bytes.push(encoding.opcode);
    } else {
        bytes.push_value(integer_value(random)); // what the instruction takes of it is its immediate
    }
    return bytes;
}

} // namespace strata::oracle
