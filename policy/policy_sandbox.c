/*
 * `sandbox …` of a policy: which walls must stand, which may be missing, and whether graftd walls itself in.
 */
#include "policy/policy_loader.h"

#include <string.h>

static const char *const items[] = { "degraded", "require", "allow-missing", "daemon" };
enum { DEGRADED, REQUIRE, ALLOW_MISSING, DAEMON };

static const char usage[] = "sandbox degraded refuse";

/* Index of the word that stands behind the item, or -1 with an error. */
static int read_answer(struct loader *l, const struct scfg_directive *d, const char *const answers[2],
                       struct place *place)
{
    struct choice c = { answers, 2, NULL };
    bool first = word_settle(l, &d->words[1], "sandbox", place);

    if (!directive_expect_words(l, d, 3, 3, usage) || !first)
        return -1;
    return word_choose(l, &c, &d->words[2], "answer");
}

/* The layer of that name, if a policy can speak of it; else LAYER_NONE with an error. */
static enum layer read_layer(struct loader *l, const struct scfg_word *w)
{
    const char *words[LAYER_COUNT];
    enum layer of[LAYER_COUNT];
    struct choice c = { words, 0, NULL };
    int n;

    for (int i = 0; i < LAYER_COUNT; i++) {
        if (layer_rows[i].need == NEED_ALWAYS && word_is(w, layer_rows[i].name)) {
            scfg_error(l->scfg, w, "%s always stands, and nothing in a policy changes that", layer_rows[i].name);
            return LAYER_NONE;
        }
        if (layer_rows[i].need == NEED_ALWAYS)
            continue;
        of[c.count] = (enum layer)i;
        words[c.count++] = layer_rows[i].name;
    }
    n = word_choose(l, &c, w, "layer");
    return n < 0 ? LAYER_NONE : of[n];
}

static void read_layers(struct loader *l, const struct scfg_directive *d, layer_set *set, layer_set other)
{
    for (size_t i = 2; i < d->word_count; i++) {
        enum layer layer = read_layer(l, &d->words[i]);

        if (layer == LAYER_NONE)
            continue;
        if ((other & layer_bit(layer)) != 0)
            scfg_error(l->scfg, &d->words[i], "%s is both required and allowed to be missing", layer_rows[layer].name);
        *set |= layer_bit(layer);
    }
}

void sandbox_read(struct loader *l, const struct scfg_directive *d, void *into)
{
    static const struct choice item = { items, COUNT(items), NULL };
    static const char *const refuse_allow[] = { "refuse", "allow" }, *const on_off[] = { "on", "off" };
    struct layer_rules *rules = &l->p->layers;
    int answer;

    (void)into;
    if (!directive_expect_no_block(l, d) || !directive_expect_words(l, d, 3, SCFG_WORD_MAX, usage))
        return;
    switch (word_choose(l, &item, &d->words[1], "sandbox setting")) {
    case DEGRADED:
        answer = read_answer(l, d, refuse_allow, &l->p->sandbox_place);
        rules->degraded = answer == 1 || (answer < 0 && rules->degraded);
        break;
    case REQUIRE:
        read_layers(l, d, &rules->required, rules->may_lack);
        break;
    case ALLOW_MISSING:
        read_layers(l, d, &rules->may_lack, rules->required);
        break;
    case DAEMON:
        answer = read_answer(l, d, on_off, &l->p->daemon_place);
        l->p->daemon_open = answer == 1 || (answer < 0 && l->p->daemon_open);
        break;
    default:
        break;
    }
}

static enum err show_layers(const char *item, layer_set set, struct buf *out)
{
    enum err err = set == 0 ? OK : buf_addf(out, "sandbox %s", item);

    for (int i = 0; i < LAYER_COUNT && err == OK; i++)
        if ((set & layer_bit((enum layer)i)) != 0)
            err = buf_addf(out, " %s", layer_rows[i].name);
    return err == OK && set != 0 ? buf_add(out, "\n", 1) : err;
}

enum err sandbox_show(const struct policy *p, struct buf *out)
{
    enum err err = buf_addf(out, "sandbox daemon %s\n", p->daemon_open ? "off" : "on");

    if (err == OK)
        err = show_layers("require", p->layers.required, out);
    return err == OK ? show_layers("allow-missing", p->layers.may_lack, out) : err;
}
