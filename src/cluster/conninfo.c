/*-------------------------------------------------------------------------
 *
 * conninfo.c
 *	  Connection strings, read.  See conninfo.h.
 *
 * Locking: none.
 *
 * May include: base/.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/conninfo.h"

#define DEFAULT_PATH	"/var/run/postgresql"
#define DEFAULT_PORT	"5432"

/* Shorter secrets would be found in any text. */
#define SECRET_MIN		4

void
cc_conninfo_add(CcConninfo *info, const char *keyword, const char *value,
				bool secret)
{
	CcOption   *o = &info->option[info->n];

	if (value == NULL || value[0] == '\0' || info->n == CC_CONNINFO_MAX)
		return;
	o->keyword = keyword;
	o->value = cc_alloc(strlen(value) + 1);
	strcpy(o->value, value);
	o->secret = secret;
	info->n++;
}

void
cc_conninfo_free(CcConninfo *info)
{
	for (int i = 0; i < info->n; i++)
		cc_free(info->option[i].value);
	info->n = 0;
}

const char *
cc_conninfo_get(const CcConninfo *info, const char *keyword)
{
	for (int i = 0; i < info->n; i++)
	{
		if (strcmp(info->option[i].keyword, keyword) == 0)
			return info->option[i].value;
	}
	return NULL;
}

bool
cc_conninfo_leaks(const CcConninfo *info, const char *text)
{
	for (int i = 0; i < info->n; i++)
	{
		const CcOption *o = &info->option[i];

		if (o->secret && strlen(o->value) >= SECRET_MIN &&
			strstr(text, o->value) != NULL)
			return true;
	}
	return false;
}

/* Number of items of a comma-separated list. */
static unsigned
count_items(const char *list)
{
	unsigned	n = 1;

	if (list == NULL)
		return 0;
	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

/* Copies the i-th item, nothing where there is none; false if too long. */
static bool
copy_item(const char *list, unsigned i, char *out, Size size)
{
	Size		len;

	out[0] = '\0';
	if (count_items(list) <= i)
		return true;
	while (i-- > 0)
		list = strchr(list, ',') + 1;
	len = strcspn(list, ",");
	if (len >= size)
		return false;
	memcpy(out, list, len);
	out[len] = '\0';
	return true;
}

bool
cc_conninfo_place(const CcConninfo *info, const CcConninfo *added,
				  unsigned i, CcPlace *place)
{
	const char *host = cc_conninfo_get(info, "host");
	const char *hostaddr = cc_conninfo_get(info, "hostaddr");
	const char *port = cc_conninfo_get(info, "port");
	unsigned	n;

	if (host == NULL && hostaddr == NULL)
	{
		host = cc_conninfo_get(added, "host");
		hostaddr = cc_conninfo_get(added, "hostaddr");
	}
	if (port == NULL)
		port = cc_conninfo_get(added, "port");
	n = Max(count_items(host), count_items(hostaddr));
	i = n > 0 ? i % n : 0;
	if (!copy_item(host, i, place->host, CC_HOST_LEN) ||
		!copy_item(hostaddr, i, place->hostaddr, CC_HOSTADDR_LEN) ||
		!copy_item(port, count_items(port) > i ? i : 0, place->port,
				   CC_PORT_LEN))
		return false;
	if (place->host[0] == '\0')
		strlcpy(place->host, place->hostaddr[0] != '\0' ? place->hostaddr :
				DEFAULT_PATH, CC_HOST_LEN);
	if (place->port[0] == '\0')
		strlcpy(place->port, DEFAULT_PORT, CC_PORT_LEN);
	return true;
}

bool
cc_conninfo_is_path(const char *host)
{
	return host[0] == '/' || host[0] == '@';
}

const char *
cc_conninfo_show(const CcPlace *place)
{
	static char text[CC_HOST_LEN + CC_PORT_LEN + 4];
	bool		colons = strchr(place->host, ':') != NULL;

	snprintf(text, sizeof(text), colons ? "[%s]:%s" : "%s:%s", place->host,
			 place->port);
	return text;
}

/* Appends keyword=value, the value in quotes where it needs them. */
static bool
append_option(char *out, Size size, const char *keyword, const char *value)
{
	Size		len = strlen(out);
	bool		plain = strpbrk(value, " \t\r\n'\\") == NULL;

	len += snprintf(out + len, size - len, "%s%s=%s", len > 0 ? " " : "",
					keyword, plain ? value : "'");
	if (plain)
		return len < size;
	for (; len + 3 < size && *value != '\0'; value++)
	{
		if (*value == '\'' || *value == '\\')
			out[len++] = '\\';
		out[len++] = *value;
	}
	if (len + 2 > size)
		return false;
	out[len++] = '\'';
	out[len] = '\0';
	return *value == '\0';
}

bool
cc_conninfo_address(const CcConninfo *info, char *out, Size size)
{
	const char *keyword = "host";
	const char *host = cc_conninfo_get(info, keyword);
	const char *port = cc_conninfo_get(info, "port");

	out[0] = '\0';
	if (host == NULL)
	{
		keyword = "hostaddr";
		host = cc_conninfo_get(info, keyword);
	}
	/* a list would be several nodes, or several ways to one */
	if (host == NULL || strchr(host, ',') != NULL ||
		(port != NULL && strchr(port, ',') != NULL))
		return false;
	return append_option(out, size, keyword, host) &&
		append_option(out, size, "port", port != NULL ? port : DEFAULT_PORT);
}
